"""An exact scanner of JSON: says where it is wrong, and where each value starts and ends.

Slow beside C code, and without recursion: nesting is bounded by the caller's patience, not by the stack.
"""

from __future__ import annotations

import json
import re
from typing import Any

from backend.core.errors import MalformedBody

MAX_DEPTH = 64

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
      | (?P<word>true|false|null)
      | (?P<mark>[\[\]{}:,])""",
    re.VERBOSE,
)
_SPACE = re.compile(r"[ \t\n\r]*+")
_BOM = b"\xef\xbb\xbf"
_MOST_TOKENS = 400_000  # looked at, about a second: a place further on is told as after that
_LONGEST_INTEGER = 4_300  # digits that Python converts


def refuse(what: str, text: str, position: int) -> MalformedBody:
    """The error for a position in the text. Never echoes the text."""
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return MalformedBody(f"Request body is not valid JSON: {what} at line {line} column {column}")


def decoded_text(body: bytes) -> str:
    """The text of a body.

    Raises:
        MalformedBody: not UTF-8, or with a byte order mark.
    """
    if body.startswith(_BOM):
        raise refuse("starts with a byte order mark", "", 0)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        raise refuse("is not UTF-8", before, len(before)) from None


class Scanner:
    """One pass over one text, or over one value in it.

    Args:
        start: where the value begins.
        depth: how many arrays and objects it stands in.
    """

    def __init__(self, text: str, start: int = 0, depth: int = 0) -> None:
        self._text = text
        self._at = start
        self._start = start  # of the mark read last
        self._end = start
        self._deepest = MAX_DEPTH - depth
        self._tokens = 0

    def value(self) -> Any:
        """The whole text as a value.

        Raises:
            MalformedBody: with line and column of the first thing wrong.
        """
        value, _ = self.next_value()
        if self._at < len(self._text):
            raise refuse("text after the end", self._text, self._at)
        return value

    def next_value(self) -> tuple[Any, int]:
        """One value, and where it ends.

        Raises:
            MalformedBody: with line and column of the first thing wrong.
        """
        return self._value(*self._next()), self._end

    def _value(self, kind: str, mark: str) -> Any:
        stack: list[tuple[Any, str | None]] = []  # containers that are open, and the name being filled
        while True:
            if mark in ("{", "[") and kind == "mark":
                if len(stack) >= self._deepest:
                    raise refuse(f"nested deeper than {MAX_DEPTH}", self._text, self._start)
                container: Any = {} if mark == "{" else []
                kind, mark = self._next()
                if mark == ("}" if container == {} and isinstance(container, dict) else "]") and (
                    kind == "mark"
                ):
                    value = container
                else:
                    name = self._name(kind, mark, container) if isinstance(container, dict) else None
                    stack.append((container, name))
                    if name is not None:
                        kind, mark = self._next()
                    continue
            else:
                value = self._scalar(kind, mark)
            while True:  # put the value where it belongs, and close what ends with it
                if not stack:
                    return value
                container, name = stack[-1]
                if isinstance(container, dict):
                    container[name] = value
                else:
                    container.append(value)
                kind, mark = self._next()
                if kind == "mark" and mark == ",":
                    kind, mark = self._next()
                    if isinstance(container, dict):
                        stack[-1] = (container, self._name(kind, mark, container))
                        kind, mark = self._next()
                    break
                if kind == "mark" and mark == ("}" if isinstance(container, dict) else "]"):
                    stack.pop()
                    value = container
                    continue
                raise refuse("expected a comma or an end", self._text, self._start)

    def _name(self, kind: str, mark: str, container: dict[str, Any]) -> str:
        if kind != "string":
            raise refuse("expected a name in double quotes", self._text, self._start)
        name: str = json.loads(mark)
        if name in container:
            raise refuse("a name occurs twice in one object", self._text, self._start)
        kind, mark = self._next()
        if kind != "mark" or mark != ":":
            raise refuse("expected a colon", self._text, self._start)
        return name

    def _scalar(self, kind: str, mark: str) -> Any:
        if kind == "mark":
            raise refuse("expected a value", self._text, self._start)
        if kind == "number":
            if len(mark) > _LONGEST_INTEGER:
                raise refuse("a number is too long", self._text, self._start)
            value = json.loads(mark)
            if isinstance(value, float) and value in (float("inf"), float("-inf")):
                raise refuse("a number is too large", self._text, self._start)
            return value
        return json.loads(mark)

    def _next(self) -> tuple[str, str]:
        self._tokens += 1
        if self._tokens > _MOST_TOKENS:
            raise refuse("something is wrong in or after this value,", self._text, self._start)
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._start = space.end()
        found = _TOKEN.match(self._text, self._start)
        if found is None or found.lastgroup is None:
            what = "it ends early" if self._start >= len(self._text) else "unexpected text"
            raise refuse(what, self._text, self._start)
        self._end = found.end()
        after = _SPACE.match(self._text, self._end)
        assert after is not None
        self._at = after.end()
        return found.lastgroup, found.group()
