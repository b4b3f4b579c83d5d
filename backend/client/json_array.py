"""A JSON array of any length -> NDJSON, streamed: each element's bytes as they are, on their own line.

Lossless, because nothing is parsed: line breaks, which JSON allows between tokens only, become spaces.
Whether an element is valid JSON is for the server to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from backend.client.errors import ClientError

_SPACE = b" \t\r\n"
_MARK = re.compile(rb'["\\\[\]{},\r\n]')
_IN_STRING = re.compile(rb'["\\]')
_LINE_BYTES = 256 * 1024


class NotAnArray(ClientError):
    """The bytes are not one whole JSON array."""


def to_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """NDJSON of the array in ``chunks``.

    Raises:
        NotAnArray: when it does not begin with ``[``, does not end with its ``]``, or goes on behind it.
    """
    splitter = _Splitter()
    for chunk in chunks:
        splitter.feed(chunk)
        if len(splitter.out) >= _LINE_BYTES:
            yield splitter.taken()
    splitter.finish()
    if splitter.out:
        yield splitter.taken()


class _Splitter:
    """``depth`` 0: before the array, 1: between elements, more: inside one; -1: behind the array."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._has_element = False
        self._after_comma = False

    def taken(self) -> bytes:
        out = bytes(self.out)
        self.out.clear()
        return out

    def feed(self, chunk: bytes) -> None:
        at = 0
        if self._depth == 0:
            start = chunk.lstrip(_SPACE)
            if not start:
                return
            if not start.startswith(b"["):
                raise NotAnArray("The file is not a JSON array.")
            chunk, self._depth = start[1:], 1
        while at < len(chunk):
            if self._depth < 0:
                if chunk[at:].strip(_SPACE):
                    raise NotAnArray("Something follows the end of the JSON array.")
                return
            at = self._string(chunk, at) if self._in_string else self._tokens(chunk, at)

    def _string(self, chunk: bytes, at: int) -> int:
        """Copy up to the end of the string (or chunk)."""
        start = at
        if self._escaped:
            self._escaped = False
            at += 1
        while (found := _IN_STRING.search(chunk, at)) is not None:
            at = found.end()
            if found.group() == b'"':
                self._in_string = False
                break
            if at == len(chunk):
                self._escaped = True
                break
            at += 1
        else:
            at = len(chunk)
        self.out += chunk[start:at]
        return at

    def _tokens(self, chunk: bytes, at: int) -> int:
        """Copy up to the next mark, and act on it."""
        found = _MARK.search(chunk, at)
        end = len(chunk) if found is None else found.start()
        self._copy(chunk[at:end])
        if found is None:
            return end
        mark = found.group()
        if mark in b"\r\n":
            if self._depth > 1:
                self.out += b" "
        elif mark == b"," and self._depth == 1:
            self._end_element(expected=True)
            self._after_comma = True
        elif mark == b"]" and self._depth == 1:
            self._end_element(expected=self._after_comma)
            self._depth = -1
        else:
            self._depth += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
            if self._depth < 1:
                raise NotAnArray("The JSON array's brackets do not match.")
            self._copy(mark)
            self._in_string = mark == b'"'
        return found.end()

    def _copy(self, data: bytes) -> None:
        if self._depth == 1:
            if not data.strip(_SPACE):
                return
            self._has_element = True
        elif self._depth > 1:
            self._has_element = True
        self.out += data

    def _end_element(self, *, expected: bool) -> None:
        if self._has_element:
            self.out += b"\n"
        elif expected:
            raise NotAnArray("The JSON array has a comma without an element.")
        self._has_element = self._after_comma = False

    def finish(self) -> None:
        if self._depth >= 0:
            raise NotAnArray("The JSON array does not end.")
