"""JSON to try, and both ways to look at it."""

from __future__ import annotations

from hypothesis import strategies as st

from backend.core.errors import MalformedBody
from backend.core.texts import Texts
from backend.formats.envelope import Envelope, look_into, quick_envelope
from backend.formats.strict_json import Unsure, read_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


SCALARS = st.sampled_from(
    [b"1", b"null", b"1e999", rb'"\":"', rb'" :"', rb'"\u0022:"', rb'"\ud800"', b'"[["']
)


def quickly(body: bytes) -> Envelope | None:
    """What the quick way says, its cards looked into; ``None`` where it does not know."""
    try:
        envelope = quick_envelope(body)
        look_into(envelope.cards or Texts.of([]))
    except Unsure:
        return None
    return envelope


def exactly(text: bytes) -> bool:
    """Whether the exact way finds nothing wrong."""
    try:
        read_value(text)
    except MalformedBody:
        return False
    return True
