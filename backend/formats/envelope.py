"""Bodies taken apart: what stands around the cards is read, each card is bytes where they lie.

Quickly, where a body is as bodies are, and exactly, with line and column, where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backend.core.errors import FieldError, MalformedBody, ValidationFailed
from backend.core.texts import Texts
from backend.formats.json_scanner import MAX_DEPTH, decoded_text
from backend.formats.json_walk import walk
from backend.formats.strict_json import FEW_BYTES, Unsure, elements_are_strict, read_value

_raw_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SPACE = b" \t\r\n"
_GAPS = (b",", b", ")
_CARDS, _ERRORS = "cards", "errors"
_CARD_DEPTH = MAX_DEPTH - 2  # cards lie in an array in an object
_OPENINGS = tuple(
    re.compile(rb'"(%b)"[ \t\r\n]*:[ \t\r\n]*(?=\[)' % name.encode()).search for name in (_CARDS, _ERRORS)
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body taken apart.

    Attributes:
        fields: every member but the cards, decoded; the cards too where they are not an array.
        cards: the elements, as sent; ``None`` when there is no array of them.
    """

    fields: dict[str, Any]
    cards: Texts | None


def quick_envelope(body: bytes) -> Envelope:
    """A request body taken apart at the speed of C; what is in the cards is not looked at yet.

    Whoever takes them calls ``look_into`` with them before anything of it lasts.

    Raises:
        Unsure: the exact way must look at it.
    """
    # One array of a known name, and no other behind it. Before it there is no string that could pretend to be
    # its name, since that takes a backslash, nor its name deeper down, since what stands around it, looked at
    # exactly and with an empty array for the cards, has to have one there.
    opening = _OPENINGS[0](body) or _OPENINGS[1](body)
    if opening is None:
        raise Unsure
    start, end = opening.end(), body.rfind(b"]") + 1
    around = body[:start] + b"[]" + body[end:]
    if len(around) > FEW_BYTES or b"\\" in around:
        raise Unsure
    try:
        cards = _apart(body, start, end)
        fields: dict[str, Any] = walk(decoded_text(around))[0]
    except (ValueError, RecursionError, MalformedBody):
        raise Unsure from None
    if fields.pop(opening[1].decode(), None) != [] or _CARDS in fields:
        raise Unsure
    return Envelope(fields, cards)


def look_into(cards: Texts) -> None:
    """Look into cards of a ``quick_envelope``.

    Raises:
        Unsure: the exact way must look at the body.
    """
    if not elements_are_strict(cards, _CARD_DEPTH):
        raise Unsure


def parse_envelope(body: bytes, *, cards_key: str | None = _CARDS) -> Envelope:
    """Take a request body apart, strictly and exactly.

    Args:
        cards_key: the member whose elements stay bytes; ``errors`` (an errors file sent back) is taken in
            its place when it is missing. ``None``: decode everything.

    Raises:
        MalformedBody: not JSON, with line and column (1-based, in characters).
        ValidationFailed: JSON, and not an object.
    """
    arrays = () if cards_key is None else (cards_key, _ERRORS)
    value, slices = walk(decoded_text(body), arrays)
    if not isinstance(value, dict):
        raise ValidationFailed(
            "Request body must be a JSON object", errors=(FieldError("", "must be an object"),)
        )
    if cards_key is None:
        return Envelope(value, None)
    name = cards_key if cards_key in value or _ERRORS not in value else _ERRORS
    fields = {key: member for key, member in value.items() if key != name or name not in slices}
    if name != _ERRORS and _ERRORS in slices:
        fields[_ERRORS] = [read_value(element) for element in slices[_ERRORS]]
    return Envelope(fields, Texts.of(slices[name]) if name in slices else None)


def elements_of(body: bytes) -> Sequence[bytes] | None:
    """The cards of a document: an array, or an object with one under ``cards`` or ``errors``.

    Raises:
        MalformedBody: not JSON.
    """
    if not body.lstrip(_SPACE).startswith(b"["):
        try:
            cards = parse_envelope(body).cards
        except ValidationFailed:
            return None
        return None if cards is None else cards.split()
    try:
        end = body.rfind(b"]") + 1
        if body[end:].strip(_SPACE):
            raise Unsure
        cards = _apart(body, body.index(b"["), end)
        if elements_are_strict(cards, MAX_DEPTH - 1):
            return cards.split()
    except (Unsure, ValueError, RecursionError):
        pass
    found: Sequence[bytes] | None = walk(decoded_text(body), (None,))[1].get(None)
    return found


def _apart(body: bytes, start: int, end: int) -> Texts:
    """The elements of the array that a range of the body is; where they lie, if nothing but a comma, or a
    comma and a space, is between them.

    Raises:
        ValueError: it is no JSON array, or seems to be none.
    """
    elements = _raw_elements(memoryview(body)[start:end])
    lengths = [len(memoryview(one)) for one in elements]
    between = end - start - 2 - sum(lengths)
    for gap in _GAPS:
        if between == len(gap) * (len(lengths) - 1):
            found = Texts(memoryview(body)[start + 1 : end - 1], lengths, len(gap))
            first = start + 1 - len(gap)
            # One byte can only be the comma. Of more, each must be where it is thought to be.
            if len(gap) == 1 or all(body.startswith(gap + b"{", first + at) for at in found.starts()[1:-1]):
                return found
    return Texts(b",".join([memoryview(one) for one in elements]), lengths)
