"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it: no duplicate names, no BOM, no NaN, no 1e999.

The fast path lets C code do the work, some elements at a time so that memory holds few of them decoded. C
code does not see names that occur twice, so members are counted: each has a ``":`` in the text, and of those
with one name only the last is decoded. That counts right where no name or string hides or fakes one (a space
before the colon, an escaped quote or colon); such texts, and whatever C code objects to, go to
``json_walk``, which is exact and knows where it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import orjson

from backend.core.errors import FieldError, ValidationFailed
from backend.formats.json_scanner import MAX_DEPTH, decoded_text
from backend.formats.json_walk import is_deeper, walk

_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_MEMBER = b'":'
# The expressions begin with the rarer sign, which is quick to find.
_marks = re.compile(rb':(?<=":)').findall
_spaced = re.compile(rb":(?<=[ \t\r\n]:)").search
_hidden = re.compile(rb'"[ \t\r\n]+:').search
_escaped = re.compile(rb"\\u00(?:22|3[aA])").search
_AT_ONCE = 16  # texts looked at together: with a few brackets each they have fewer than the deepest may have
_WINDOW, _WIDEST = 128 * 1024, 4 * 1024
_LETTER = rb"a-zA-Z\x80-\xff"
# In no mark: not around quotes, and before neither a colon nor white space that may lead to one.
_CUT = re.compile(rb"[,.%b](?=[,.{}\[\]%b])|[ ,](?=[0-9%b])" % (_LETTER, _LETTER, _LETTER))
_CARDS, _ERRORS = "cards", "errors"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body taken apart.

    Attributes:
        fields: every member but the cards, decoded; the cards too where they are not an array.
        cards: the bytes of each element, as sent; ``None`` when there is no array of them.
    """

    fields: dict[str, Any]
    cards: list[bytes] | None


class _Suspicious(Exception):
    """Something the exact way must look at."""


def parse_envelope(
    body: bytes,
    *,
    cards_key: str | None = _CARDS,
    told_apart: Callable[[list[bytes]], None] = lambda _: None,
) -> Envelope:
    """Take a request body apart, strictly.

    Args:
        cards_key: the member whose elements stay bytes; ``errors`` (an errors file sent back) is taken in
            its place when it is missing. ``None``: decode everything.
        told_apart: called with the elements before they are checked, which takes longer than telling them
            apart. They are those of the answer, if there is one and it has the same list.

    Raises:
        MalformedBody: not JSON, with line and column (1-based, in characters).
        ValidationFailed: JSON, and not an object.
    """
    if cards_key is not None:
        try:
            return _quick_envelope(body, cards_key, told_apart)
        except (_Suspicious, ValueError, RecursionError):
            pass
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
    return Envelope(fields, slices.get(name))


def read_value(raw: bytes) -> Any:
    """One JSON text, as strictly, with integers of any size.

    Raises:
        MalformedBody: with line and column.
    """
    return walk(decoded_text(raw))[0]


def check(raw: bytes) -> Any:
    """``read_value`` at the speed of C, for looking at what is there: large integers may come as floats.

    Raises:
        MalformedBody: with line and column.
    """
    try:
        value, count = _written(raw, MAX_DEPTH)
        if count != _marked(raw):
            raise _Suspicious
    except (_Suspicious, ValueError, RecursionError):
        return read_value(raw)
    return value


def are_strict(raws: Sequence[bytes]) -> bool:
    """Whether each of these is JSON and nothing is wrong with it; ``False`` where that is not told fast."""
    try:
        return _have_members(raws, _marked(b",".join(raws)), MAX_DEPTH)
    except (_Suspicious, ValueError, RecursionError):
        return False


def raw_members(raw: bytes) -> dict[str, bytes]:
    """The members of an object that ``check`` has passed, each as it stands; of nothing else.

    Raises:
        MalformedBody: it was not checked.
    """
    try:
        return {name: bytes(member) for name, member in _raw_members(raw).items()}
    except msgspec.MsgspecError:  # a lone surrogate
        return walk(decoded_text(raw), members=True)[1]  # type: ignore[return-value]


def elements_of(body: bytes) -> list[bytes] | None:
    """The cards of a document: an array, or an object with one under ``cards`` or ``errors``.

    Raises:
        MalformedBody: not JSON.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        try:
            return parse_envelope(body).cards
        except ValidationFailed:
            return None
    # One way for both: an array becomes an envelope's. The place of an error is told in the text as sent.
    try:
        return _quick_envelope(b'{"cards":' + body + b"}", _CARDS).cards
    except (_Suspicious, ValueError, RecursionError):
        return walk(decoded_text(body), (None,))[1].get(None)


def _quick_envelope(
    body: bytes, cards_key: str, told_apart: Callable[[list[bytes]], None] = lambda _: None
) -> Envelope:
    """The envelope, if C code finds nothing wrong with it.

    Raises:
        _Suspicious, ValueError: the exact way must look at it.
    """
    members = {key: bytes(raw) for key, raw in _raw_members(body).items()}
    name = cards_key if cards_key in members or _ERRORS not in members else _ERRORS
    cards: list[bytes] | None = None
    fields: dict[str, Any] = {}
    if members.get(name, b"")[:1] == b"[":
        cards = [bytes(element) for element in _raw_elements(members[name])]
        told_apart(cards)
    left = sum(map(_marked, _windows(body))) - len(members)
    for key, text in members.items():
        if key != name or cards is None:
            left -= _written(text, MAX_DEPTH - 1)[1]
            fields[key] = walk(decoded_text(text))[0]  # exact, and small beside the cards
    if not _have_members(cards or [], left, MAX_DEPTH - 2):
        raise _Suspicious
    return Envelope(fields, cards)


def _have_members(texts: Sequence[bytes], marks: int, depth: int) -> bool:
    """Whether no member was dropped when the texts, which have so many ``":`` in them, are decoded.

    Raises:
        _Suspicious, ValueError: nested deeper than ``depth``, or no JSON.
    """
    # No string of theirs has a ``":`` in it, usually: counting is quicker than writing them again.
    return _shallow_members(texts, depth) == marks or sum(_written(text, depth)[1] for text in texts) == marks


def _shallow_members(texts: Sequence[bytes], depth: int) -> int:
    """How many members the objects have, and their ``metadata``: all that cards have, and never more.

    Raises:
        _Suspicious, ValueError: nested deeper than ``depth``, or no JSON.
    """
    count = 0
    for some in _a_few(texts):
        values = list(map(orjson.loads, some))
        if b"".join(some).count(b"[") >= depth - 2 or set(map(type, values)) != {dict}:
            if any(map(_nests, some, values, repeat(depth))):
                raise _Suspicious
            values = [value for value in values if isinstance(value, dict)]
        count += sum(map(len, values))
        count += sum([len(inner) for one in values if type(inner := one.get("metadata")) is dict])
    return count


def _a_few(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Texts that may be decoded at the same time: large ones one by one."""
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        if sum(map(len, some)) <= _WINDOW:
            yield some
        else:
            yield from ([text] for text in some)


def _written(text: bytes, depth: int) -> tuple[Any, int]:
    """The decoded text, and how many ``":`` there are once it is written again.

    Raises:
        _Suspicious, ValueError: nested deeper than ``depth``, or no JSON; or it has escapes that are written
            as what they stand for.
    """
    value = orjson.loads(text)
    if _nests(text, value, depth) or _escaped(text):  # first: what nests too deep cannot be written
        raise _Suspicious
    return value, orjson.dumps(value).count(_MEMBER)


def _nests(text: bytes, value: Any, depth: int) -> bool:
    """Whether it nests deeper; looked at closely only where there are brackets enough."""
    return text.count(b"[") + text.count(b"{") > depth and is_deeper(value, depth)


def _marked(text: bytes) -> int:
    """How many ``":`` there are in it.

    Raises:
        _Suspicious: white space stands between a name and its colon, or seems to.
    """
    if _spaced(text) and _hidden(text):
        raise _Suspicious
    return len(_marks(text))


def _windows(text: bytes) -> Iterator[bytes]:
    """A text piece by piece, never cut inside what is looked for: other threads get their turns meanwhile.

    Raises:
        _Suspicious: there is no place to cut.
    """
    start = 0
    while len(text) - start > _WINDOW:
        cut = _CUT.search(text, start + _WINDOW, start + _WINDOW + _WIDEST)
        if cut is None:
            raise _Suspicious
        yield text[start : cut.end()]
        start = cut.end()
    yield text[start:]
