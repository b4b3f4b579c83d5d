"""Lines and CSV rows of a text that does not fit into memory."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.csv_dialect import Dialect, named_delimiter, sniff
from backend.formats.fields import ADDED_COLUMNS

_SAMPLE_CHARACTERS = 65_536  # what a dialect is found out from
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class TextLines:
    """The lines of a file, line ends included, a byte order mark left out. ``line`` counts from 1.

    UTF-8, or UTF-16 where the byte order mark says so: what spreadsheets call "Unicode text".

    Args:
        stream: the file, decompressed; stays open.
        longest: a line with more characters is refused, so that memory stays bounded.

    Raises:
        MalformedBody: while iterating; neither of the two. PayloadTooLarge: a line beyond the cap.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        if not hasattr(self._stream, "peek"):
            self._stream = io.BufferedReader(self._stream)  # type: ignore[type-var]
        utf_16 = self._stream.peek(2)[:2] in _UTF_16
        encoding = "utf-16" if utf_16 else "utf-8-sig"
        text = io.TextIOWrapper(self._stream, encoding=encoding, errors="strict", newline="")
        try:
            while True:
                try:
                    line = text.readline(self._longest + 1)
                except UnicodeError:
                    name = "UTF-16, as it begins" if utf_16 else "UTF-8"
                    raise MalformedBody(f"The file is not {name} (after line {self.line})") from None
                if not line:
                    return
                self.line += 1
                if len(line) > self._longest:
                    raise PayloadTooLarge(f"Line {self.line} is too long")
                yield line
        finally:
            with contextlib.suppress(ValueError):  # closed before this was read to its end
                text.detach()


class CsvRows:
    """The rows of a delimited text, each with the line where it begins; blank rows are left out.

    Args:
        feed: the lines to read.
        number: of the first of them.
        dialect: how they are written.
        longest: the most characters of one cell.
        comments: whether a line that begins with ``#`` between two rows is a comment. Only the reader
            knows what is between two rows: it asks for a line while ``_between`` is set exactly then.
    """

    def __init__(
        self, feed: Iterator[str], number: int, dialect: Dialect, longest: int, *, comments: bool = False
    ) -> None:
        # One limit for the whole process: it may only grow here, others rely on it too.
        csv.field_size_limit(max(csv.field_size_limit(), longest))
        self._feed = feed
        self._number = number
        self._dialect = dialect
        self._comments = comments
        self._between = True
        self._cut_off = False
        self._began = 0

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        """Raises MalformedBody: a quote that never closes, a cell beyond the cap; names the line."""
        reader = csv.reader(
            self._fed(),
            delimiter=self._dialect.delimiter,
            quotechar=self._dialect.quote,
            escapechar=self._dialect.escape,
        )
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
        for number, line in enumerate(self._feed, self._number):
            if self._between:
                if self._comments and line.startswith("#"):
                    continue
                self._began = number
                self._between = False
            yield line
        self._cut_off = not self._between


def table(stream: BinaryIO, longest: int) -> Iterator[tuple[list[str], list[str], int]]:
    """Each row of a CSV with its header and the line where it begins. See ``csv_dialect`` for what is read.

    The columns that a file of failed rows adds are left out; cells beyond the header stay beyond it.
    """
    lines = TextLines(stream, longest)
    feed = iter(lines)
    first = next((line for line in feed if line.strip()), "")
    delimiter = named_delimiter(first)
    if delimiter is not None:
        first = next((line for line in feed if line.strip()), "")
    if not first:
        return
    number = lines.line
    sample = _sample(feed)
    dialect = sniff(first, sample, delimiter)
    header: list[str] = []
    kept: list[int] = []
    width = 0
    for row, line in CsvRows(chain([first], sample, feed), number, dialect, longest):
        if not width:
            width = len(row)
            kept = [place for place, name in enumerate(row) if name not in ADDED_COLUMNS]
            header = [row[place] for place in kept]
        elif len(kept) == width:
            yield header, row, line
        else:
            cells = [row[place] if place < len(row) else "" for place in kept]
            yield header, cells + row[width:], line


def _sample(feed: Iterator[str]) -> list[str]:
    sample: list[str] = []
    weight = 0
    for line in feed:
        sample.append(line)
        weight += len(line)
        if weight >= _SAMPLE_CHARACTERS:
            break
    return sample
