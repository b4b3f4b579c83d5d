"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it: no duplicate names, no BOM, no NaN, no 1e999.

The fast paths let C code do the work, some texts at a time so that memory holds few of them decoded. Cards
of an array are read onto simdjson's tape, which has every name as it was written; braces are counted in the
text, so that no object hides where the tape was not looked at. Where there are more of them, and for lines,
texts are decoded. Decoders do not tell of names that occur twice, so members are counted: each has a colon in
the text, behind a quote or white space, and of those with one name only the last is decoded. Where strings
have such colons too, what was decoded is written again and its ``":`` are counted. What is still in doubt (an
escaped quote or colon could hide one), and whatever C code objects to, goes to ``json_walk``, which is exact
and knows where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import msgspec
import orjson

from backend.core.texts import Texts
from backend.formats.json_scanner import MAX_DEPTH, decoded_text
from backend.formats.json_tape import Tape
from backend.formats.json_walk import is_deeper, walk

_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_MEMBER = b'":'
# The expressions begin with the rarer sign, which is quick to find.
_marks = re.compile(rb':(?<=":)').findall
_spaced = re.compile(rb":(?<=[ \t\r\n]:)").search
_hidden = re.compile(rb'"[ \t\r\n]+:').search
_escaped = re.compile(rb"\\u00(?:22|3[aA])").search
_colons = re.compile(rb':(?<=[" \t\r\n]:)').findall  # each member has one, strings may
_AT_ONCE = 32  # texts looked at together: with a bracket each they have fewer than the deepest may have
FEW_BYTES = 128 * 1024


class Unsure(Exception):
    """Something that only the exact way can tell."""


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


def elements_are_strict(elements: Texts, depth: int) -> bool:
    """Whether nothing is wrong with elements of a JSON array; ``False`` where that is not told fast.

    Args:
        elements: they were cut out of an array, so that each is one value, whatever it is. Lines could be
            read together as so many values and be none for themselves.
    """
    tape = Tape()
    return _all(_elements_are_strict(some, depth, tape) for some in _a_few(elements))


def are_strict(texts: Texts) -> bool:
    """Whether each of these is JSON and nothing is wrong with it; ``False`` where that is not told fast."""
    return _all(_have_all_members(some, MAX_DEPTH) for some in _a_few(texts))


def are_accounted_for(lines: Texts, members: int, skipped: Sequence[bytes], tape: Tape) -> bool:
    """``are_strict`` of objects that another decoder has read, each for itself.

    Args:
        members: how many different names that decoder has found in the objects.
        skipped: the JSON texts of values among them that it left undecoded; all others are no objects, and no
            arrays of other than texts.
    """
    array = b"[%b]" % lines.block().replace(b"\n", b",")  # no line has a line break in it
    inner = b"[%b]" % b",".join(skipped)
    if tape.members(array) != members or inner.count(b"[") > MAX_DEPTH - 2:
        return False
    try:
        values = orjson.loads(inner)
    except ValueError:
        return False
    # Each member has such a colon, strings may have more. One object in another has members not counted here.
    return len(_colons(inner)) == sum([len(value) for value in values if type(value) is dict])


def raw_members(raw: bytes) -> dict[str, bytes]:
    """The members of an object that ``check`` has passed, each as it stands; of nothing else.

    Raises:
        MalformedBody: it was not checked.
    """
    try:
        return {name: bytes(member) for name, member in _raw_members(raw).items()}
    except msgspec.MsgspecError:  # a lone surrogate
        return walk(decoded_text(raw), members=True)[1]  # type: ignore[return-value]


def _all(found: Iterable[bool]) -> bool:
    """Whether all of them are so, and none is in doubt."""
    try:
        return all(found)
    except (Unsure, ValueError, RecursionError):
        return False


def _elements_are_strict(elements: Texts, depth: int, tape: Tape) -> bool:
    """``elements_are_strict`` of a few, or of a large one: its tape would be larger still.

    Raises:
        Unsure, ValueError: see ``_have_all_members``.
    """
    if len(elements.data) > FEW_BYTES:
        return _have_all_members(elements, depth)
    array = b"".join((b"[", elements.data, b"]"))
    openings = tape.openings(array)
    if openings is None:
        return _have_all_members(elements, depth)
    arrays = depth - 2  # at least so many may lie in metadata, the metadata in its card
    if array.count(b"{") == sum(openings) and array.count(b"[") <= arrays:
        return True
    return all(
        _has_all_members(text, depth)
        for text, objects in zip(elements.split(), openings, strict=True)
        if text.count(b"{") != objects or text.count(b"[") > arrays
    )


def _have_all_members(texts: Texts, depth: int) -> bool:
    """Whether no member was dropped when the texts, a few of them, are decoded.

    Raises:
        Unsure, ValueError: nested deeper than ``depth``, or no JSON.
    """
    block = texts.block()
    values = list(map(orjson.loads, texts.split()))
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
    return all(_has_all_members(text, depth) for text in texts.split())


def _a_few(texts: Texts) -> Iterator[Texts]:
    """Texts that may be decoded at the same time: large ones one by one."""
    for start in range(0, len(texts), _AT_ONCE):
        some = texts.cut(start, min(start + _AT_ONCE, len(texts)))
        if len(some.data) <= FEW_BYTES:
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


def _has_all_members(text: bytes, depth: int) -> bool:
    """Whether no member was dropped when the text is decoded, told by writing it again.

    Raises:
        Unsure, ValueError: see ``_written``.
    """
    return _written(text, depth)[1] == _marked(text)


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
