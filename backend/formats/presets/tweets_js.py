"""The elements of a Twitter archive's ``tweets.js``, one at a time.

The file is JavaScript: ``window.YTD.tweets.part0 = [ … ]``. It is never run. A plain JSON array, one object
per line, and the file of failed records that this service hands out (``{"errors": […]}``) are read too.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from backend.core.errors import MalformedBody

_CHUNK = 65_536
_OPENING = re.compile(
    r'\s*(?:window\.YTD\.[A-Za-z0-9_.]+\s*=\s*)?(?:(?P<array>\[)|(?P<errors>\{\s*"errors"\s*:\s*\[)|(?P<lines>(?=\{)))'
)
_SPACE = re.compile(r"[ \t\r\n]*")
_END = re.compile(r"[ \t\r\n;}]*\Z")


def elements(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield each element's JSON as it stands in the file, as UTF-8.

    Memory holds one element and a chunk of 64 KiB.

    Args:
        stream: the file, decompressed.
        longest: an element with more characters than this is refused.

    Raises:
        MalformedBody: not UTF-8, not such a file, or broken JSON; says in which line.
    """
    text = _Text(stream, longest)
    text.fill(_CHUNK)
    opening = _OPENING.match(text.buffer)
    if opening is None:
        if not text.buffer.strip():
            return
        text.refuse("It begins neither with window.YTD.tweets.part0 = [ nor as JSON")
    text.move(opening.end())
    listed = opening["lines"] is None
    first = True
    while True:
        text.skip_space()
        if listed:
            if text.peek() == "]":
                text.move(text.position + 1)
                break
            if not first:
                if text.peek() != ",":
                    text.refuse("A comma or the end of the list is missing")
                text.move(text.position + 1)
                text.skip_space()
        elif not text.peek():
            return
        yield text.value().encode("utf-8", "surrogatepass")
        first = False
    text.fill(_CHUNK)
    if _END.match(text.buffer, text.position) is None:
        text.refuse("There is text after the end of the list")


class _Text:
    """A window on the decoded file. ``position`` is where reading stands in ``buffer``."""

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("strict").decode
        self._ended = False
        self._line = 1
        self._scan = json.JSONDecoder(parse_constant=self._refuse_constant).raw_decode
        self.buffer = ""
        self.position = 0

    def fill(self, wanted: int) -> None:
        """Read on until this many characters lie ahead, or the file ends."""
        if self.position > _CHUNK:
            self._line += self.buffer.count("\n", 0, self.position)
            self.buffer = self.buffer[self.position :]
            self.position = 0
        pieces = [self.buffer]
        ahead = len(self.buffer) - self.position
        while ahead < wanted and not self._ended:
            chunk = self._stream.read(_CHUNK)
            self._ended = not chunk
            try:
                pieces.append(self._decode(chunk, self._ended))
            except UnicodeDecodeError:
                self.refuse("It is not UTF-8")
            ahead += len(pieces[-1])
        self.buffer = "".join(pieces)

    def move(self, position: int) -> None:
        self.position = position

    def peek(self) -> str:
        """The next character, ``""`` at the end."""
        if self.position >= len(self.buffer):
            self.fill(1)
        return self.buffer[self.position : self.position + 1]

    def skip_space(self) -> None:
        while self.peek():
            found = _SPACE.match(self.buffer, self.position)
            self.position = found.end() if found else self.position
            if self.position < len(self.buffer):
                return

    def value(self) -> str:
        """The JSON value that begins here, as it is written."""
        wanted = _CHUNK
        while True:
            self.fill(wanted)
            try:
                _, end = self._scan(self.buffer, self.position)
            except json.JSONDecodeError as error:
                # Cut off by the window, or broken: only reading on can tell.
                if self._ended or wanted > self._longest:
                    self.refuse(f"{error.msg}", at=min(error.pos, len(self.buffer)))
            except RecursionError:
                self.refuse("It is nested too deeply")
            except ValueError:
                self.refuse("It has a number that cannot be read")
            else:
                if end < len(self.buffer) or self._ended:
                    if end - self.position > self._longest:
                        self.refuse("An element is too long")
                    value = self.buffer[self.position : end]
                    self.position = end
                    return value
            wanted *= 2

    def _refuse_constant(self, name: str) -> NoReturn:
        self.refuse(f"{name} is not JSON")

    def refuse(self, why: str, at: int | None = None) -> NoReturn:
        """Raise MalformedBody with the line."""
        line = self._line + self.buffer.count("\n", 0, self.position if at is None else at)
        raise MalformedBody(f"The file cannot be read: {why} (line {line})")
