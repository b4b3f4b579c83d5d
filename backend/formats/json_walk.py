"""The exact way through a JSON text: values by C code, the place of each by position.

Python's own decoder reads one value at a position and says where it ends, so members and elements are cut
out as they stand, lone surrogate escapes and all. What it does not refuse (names that occur twice, NaN,
1e999, nesting) is caught by its hooks; the scanner then looks at that value alone, to say where.
"""

from __future__ import annotations

import json
import json.decoder
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

from backend.formats.json_scanner import MAX_DEPTH, Scanner, refuse

_SPACE = re.compile(r"[ \t\n\r]*+")
# Both are in the standard library for its own encoders and decoders, and not in its stubs.
_scan: Callable[[str, int, bool], tuple[str, int]] = getattr(json.decoder, "scanstring")  # noqa: B009


class _Suspicious(Exception):
    """Something that Python's decoder lets pass."""


def walk(
    text: str, arrays: Collection[str | None] = (), *, members: bool = False
) -> tuple[Any, dict[str | None, Any]]:
    """The value of a text, and what was cut out of it.

    Args:
        arrays: members of the top-level object whose elements are wanted as they stand; ``None`` for those
            of a top-level array. Their values are left empty in the value.
        members: whether every member of the top-level object is wanted as it stands.

    Raises:
        MalformedBody: with line and column of the first thing wrong.
    """
    return _Walk(text, arrays, members).whole()


class _Walk:
    def __init__(self, text: str, arrays: Collection[str | None], members: bool) -> None:
        self._text = text
        self._arrays = arrays
        self._members = members
        self._cut: dict[str | None, Any] = {}

    def whole(self) -> tuple[Any, dict[str | None, Any]]:
        start = self._space(0)
        opening = self._text[start : start + 1]
        value: Any
        if opening == "{" and (self._arrays or self._members):
            value, end = self._object(start)
        elif opening == "[" and None in self._arrays:
            value, end = [], self._elements(start, None, 1)
        else:
            value, end = self._value(start, 0)
        end = self._space(end)
        if end < len(self._text):
            raise refuse("text after the end", self._text, end)
        return value, self._cut

    def _object(self, start: int) -> tuple[dict[str, Any], int]:
        """The object at a position, its members one by one."""
        value: dict[str, Any] = {}
        at = self._space(start + 1)
        if self._text[at : at + 1] == "}":
            return value, at + 1
        while True:
            name, at = self._name(at, value)
            if name in self._arrays and self._text[at : at + 1] == "[":
                value[name] = []
                end = self._elements(at, name, 2)
            else:
                value[name], end = self._value(at, 1)
                if self._members:
                    self._cut[name] = self._text[at:end].encode("utf-8")
            at, more = self._more(end, "}")
            if not more:
                return value, at

    def _elements(self, start: int, name: str | None, depth: int) -> int:
        """Cut out the elements of the array at a position; where it ends."""
        found: list[bytes] = []
        self._cut[name] = found
        at = self._space(start + 1)
        if self._text[at : at + 1] == "]":
            return at + 1
        while True:
            _, end = self._value(at, depth)
            found.append(self._text[at:end].encode("utf-8"))
            at, more = self._more(end, "]")
            if not more:
                return at

    def _name(self, at: int, earlier: dict[str, Any]) -> tuple[str, int]:
        """The name at a position, and where its value begins."""
        if self._text[at : at + 1] != '"':
            raise refuse("expected a name in double quotes", self._text, at)
        try:
            name, end = _scan(self._text, at + 1, True)
        except ValueError:
            raise refuse("unexpected text", self._text, at) from None
        if name in earlier:
            raise refuse("a name occurs twice in one object", self._text, at)
        colon = self._space(end)
        if self._text[colon : colon + 1] != ":":
            raise refuse("expected a colon", self._text, colon)
        return name, self._space(colon + 1)

    def _more(self, end: int, closing: str) -> tuple[int, bool]:
        """Past a comma, to what follows it, or past the end."""
        at = self._space(end)
        mark = self._text[at : at + 1]
        if mark == ",":
            return self._space(at + 1), True
        if mark == closing:
            return at + 1, False
        raise refuse("expected a comma or an end" if mark else "it ends early", self._text, at)

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        try:
            value, end = _scan_once(self._text, at)
        except (_Suspicious, ValueError, RecursionError, StopIteration):
            pass
        else:
            if not is_deeper(value, MAX_DEPTH - depth):
                return value, end
        return Scanner(self._text, at, depth).next_value()

    def _space(self, at: int) -> int:
        return cast("re.Match[str]", _SPACE.match(self._text, at)).end()


def is_deeper(value: Any, levels: int) -> bool:
    """Whether arrays and objects nest deeper than ``levels``; one generation at a time, no recursion."""
    generation: Iterable[Any] = [value] if isinstance(value, dict | list) else ()
    while generation:
        if levels == 0:
            return True
        levels -= 1
        generation = [
            child
            for one in generation
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
    return False


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Suspicious
    return made


def _constant(_: str) -> Any:
    raise _Suspicious


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Suspicious
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
_scan_once: Callable[[str, int], tuple[Any, int]] = getattr(_decoder, "scan_once")  # noqa: B009
