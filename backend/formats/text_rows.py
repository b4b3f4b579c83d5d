"""Lines and CSV rows of a text that does not fit into memory."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from backend.core.errors import MalformedBody
from backend.formats.fields import ADDED_COLUMNS

_DELIMITERS = (",", ";", "\t", "|")


class TextLines:
    """The lines of a UTF-8 file, line ends included, a byte order mark left out. ``line`` counts from 1.

    Args:
        stream: the file, decompressed; stays open.
        longest: a line with more characters is refused, so that memory stays bounded.

    Raises:
        MalformedBody: while iterating; not UTF-8, or a line beyond the cap.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        text = io.TextIOWrapper(self._stream, encoding="utf-8-sig", errors="strict", newline="")
        try:
            while True:
                try:
                    line = text.readline(self._longest + 1)
                except UnicodeDecodeError:
                    raise MalformedBody(f"The file is not UTF-8 (after line {self.line})") from None
                if not line:
                    return
                self.line += 1
                if len(line) > self._longest:
                    raise MalformedBody(f"Line {self.line} is too long")
                yield line
        finally:
            with contextlib.suppress(ValueError):  # closed before this was read to its end
                text.detach()


class CsvRows:
    """The rows of a delimited text, each with the line where it begins; blank rows are left out.

    Args:
        lines: the counting source of ``feed``.
        feed: the lines to read.
        delimiter: one character.
        longest: the most characters of one cell.
        comments: whether a line that begins with ``#`` between two rows is a comment. Only the reader
            knows what is between two rows: it asks for a line while ``_between`` is set exactly then.
    """

    def __init__(
        self, lines: TextLines, feed: Iterator[str], delimiter: str, longest: int, *, comments: bool = False
    ) -> None:
        # One limit for the whole process: it may only grow here, others rely on it too.
        csv.field_size_limit(max(csv.field_size_limit(), longest))
        self._lines = lines
        self._feed = feed
        self._delimiter = delimiter
        self._comments = comments
        self._between = True
        self._cut_off = False
        self._began = 0

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        """Raises MalformedBody: a quote that never closes, a cell beyond the cap; names the line."""
        reader = csv.reader(self._fed(), delimiter=self._delimiter, doublequote=True, strict=False)
        while True:
            self._between = True
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise MalformedBody(f"The row in line {self._began} cannot be read: {error}") from None
            if row is None:
                return
            if self._cut_off:
                raise MalformedBody(f"A quote is never closed (the row begins in line {self._began})")
            if any(cell.strip() for cell in row):
                yield row, self._began

    def _fed(self) -> Iterator[str]:
        for line in self._feed:
            if self._between:
                if self._comments and line.startswith("#"):
                    continue
                self._began = self._lines.line
                self._between = False
            yield line
        self._cut_off = not self._between


def table(stream: BinaryIO, longest: int) -> Iterator[tuple[list[str], list[str], int]]:
    """Each row of a CSV with its header and the line where it begins.

    The delimiter is the one of comma, semicolon, tab and bar that cuts the header into the most cells.
    """
    lines = TextLines(stream, longest)
    feed = iter(lines)
    first = next((line for line in feed if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    header: list[str] = []
    kept: list[int] = []
    whole = True
    for row, line in CsvRows(lines, _after(first, feed), delimiter, longest):
        if not kept:
            kept = [place for place, name in enumerate(row) if name not in ADDED_COLUMNS]
            header = [row[place] for place in kept]
            whole = len(kept) == len(row)
        elif whole:
            yield header, row, line
        else:
            yield header, [row[place] for place in kept if place < len(row)], line


def _after(first: str, feed: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
        yield from feed
