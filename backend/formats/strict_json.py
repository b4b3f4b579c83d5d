"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it: no duplicate names, no BOM, no NaN, no 1e999.

The fast path lets C code do the work, some elements at a time so that memory holds few of them decoded. C
code does not see names that occur twice, so members are counted: each has a colon in the text, behind a quote
or white space, and of those with one name only the last is decoded. Where strings have such colons too, what
was decoded is written again and its ``":`` are counted. What is still in doubt (an escaped quote or colon
could hide one), and whatever C code objects to, goes to ``json_walk``, which is exact and knows where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import orjson

from backend.core.errors import FieldError, MalformedBody, ValidationFailed
from backend.core.texts import Texts
from backend.formats.json_scanner import MAX_DEPTH, decoded_text
from backend.formats.json_walk import is_deeper, walk

_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SPACE = b" \t\r\n"
_GAPS = (b",", b", ")
_MEMBER = b'":'
# The expressions begin with the rarer sign, which is quick to find.
_marks = re.compile(rb':(?<=":)').findall
_spaced = re.compile(rb":(?<=[ \t\r\n]:)").search
_hidden = re.compile(rb'"[ \t\r\n]+:').search
_escaped = re.compile(rb"\\u00(?:22|3[aA])").search
_colons = re.compile(rb':(?<=[" \t\r\n]:)').findall  # each member has one, strings may
_CARDS, _ERRORS = "cards", "errors"
_CARD_DEPTH = MAX_DEPTH - 2  # cards lie in an array in an object
_OPENINGS = tuple(
    re.compile(rb'"(%b)"[ \t\r\n]*:[ \t\r\n]*(?=\[)' % name.encode()).search for name in (_CARDS, _ERRORS)
)
_AT_ONCE = 16  # texts looked at together: with a few brackets each they have fewer than the deepest may have
_FEW_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body taken apart.

    Attributes:
        fields: every member but the cards, decoded; the cards too where they are not an array.
        cards: the elements, as sent; ``None`` when there is no array of them.
    """

    fields: dict[str, Any]
    cards: Texts | None


class Unsure(Exception):
    """Something that only the exact way can tell."""


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
    if len(around) > _FEW_BYTES or b"\\" in around:
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
    if not are_strict(cards, _CARD_DEPTH, elements=True):
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
            raise Unsure
    except (Unsure, ValueError, RecursionError):
        return read_value(raw)
    return value


def are_strict(texts: Texts, depth: int = MAX_DEPTH, *, elements: bool = False) -> bool:
    """Whether each of these is JSON and nothing is wrong with it; ``False`` where that is not told fast.

    Args:
        elements: they were cut out of a JSON array, so that each is one value, whatever it is: quicker. Lines
            could be read together as so many values and be none for themselves.
    """
    try:
        return all(_all_members(some, depth, elements) for some in _a_few(texts))
    except (Unsure, ValueError, RecursionError):
        return False


def are_accounted_for(texts: Texts, members: int, skipped: Sequence[bytes]) -> bool:
    """``are_strict`` of texts that another decoder has read, each for itself; ``False`` where it is not told.

    Args:
        members: how many different names that decoder has found in the texts' objects.
        skipped: the JSON texts of values among them that it left undecoded.
    """
    joined = b",".join(skipped)
    if joined.count(b"[") >= _CARD_DEPTH - 2:
        return False
    try:
        values = orjson.loads(b"[%b]" % joined)
    except ValueError:
        return False
    members += sum([len(value) for value in values if type(value) is dict])
    # Each member has such a colon, strings may have more. One object in another has members not counted here.
    return len(_colons(texts.block())) == members


def raw_members(raw: bytes) -> dict[str, bytes]:
    """The members of an object that ``check`` has passed, each as it stands; of nothing else.

    Raises:
        MalformedBody: it was not checked.
    """
    try:
        return {name: bytes(member) for name, member in _raw_members(raw).items()}
    except msgspec.MsgspecError:  # a lone surrogate
        return walk(decoded_text(raw), members=True)[1]  # type: ignore[return-value]


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
        if are_strict(cards, MAX_DEPTH - 1, elements=True):
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


def _all_members(texts: Texts, depth: int, elements: bool) -> bool:
    """Whether no member was dropped when the texts, a few of them, are decoded.

    Raises:
        Unsure, ValueError: nested deeper than ``depth``, or no JSON.
    """
    block = texts.block()
    values = orjson.loads(b"[%b]" % block) if elements else list(map(orjson.loads, texts.split()))
    if block.count(b"[") >= depth - 2 or set(map(type, values)) != {dict}:
        if any(map(_nests, texts.split(), values, repeat(depth))):
            raise Unsure
        values = [value for value in values if isinstance(value, dict)]
    # All that cards have, and never more than there are: their members, and those of their metadata.
    count = sum(map(len, values))
    count += sum([len(inner) for one in values if type(inner := one.get("metadata")) is dict])
    if len(_colons(block)) == count:
        return True
    # Some string of theirs has such a colon in it. Counting is quicker than writing them again.
    return sum(_written(text, depth)[1] for text in texts.split()) == _marked(block)


def _a_few(texts: Texts) -> Iterator[Texts]:
    """Texts that may be decoded at the same time: large ones one by one."""
    for start in range(0, len(texts), _AT_ONCE):
        some = texts.cut(start, min(start + _AT_ONCE, len(texts)))
        if len(some.data) <= _FEW_BYTES:
            yield some
        else:
            yield from (some.cut(one, one + 1) for one in range(len(some)))


def _written(text: bytes, depth: int) -> tuple[Any, int]:
    """The decoded text, and how many ``":`` there are once it is written again.

    Raises:
        Unsure, ValueError: nested deeper than ``depth``, or no JSON; or it has escapes that are written
            as what they stand for.
    """
    value = orjson.loads(text)
    if _nests(text, value, depth) or _escaped(text):  # first: what nests too deep cannot be written
        raise Unsure
    return value, orjson.dumps(value).count(_MEMBER)


def _nests(text: bytes, value: Any, depth: int) -> bool:
    """Whether it nests deeper; looked at closely only where there are brackets enough."""
    return text.count(b"[") + text.count(b"{") > depth and is_deeper(value, depth)


def _marked(text: bytes) -> int:
    """How many ``":`` there are in it.

    Raises:
        Unsure: white space stands between a name and its colon, or seems to.
    """
    if _spaced(text) and _hidden(text):
        raise Unsure
    return len(_marks(text))
