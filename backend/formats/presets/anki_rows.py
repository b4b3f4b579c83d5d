"""The notes of an Anki text export: header lines, comments between notes, fields of several lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from backend.formats.csv_dialect import Dialect
from backend.formats.presets.anki_headers import read_headers
from backend.formats.text_rows import CsvRows, TextLines


class AnkiRows:
    """Reads one file. ``headers`` are known once the first row was asked for.

    Args:
        stream: the file, decompressed; stays open.
        longest: a line or a field with more characters is refused, so that memory stays bounded.
    """

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._lines = TextLines(stream, longest)
        self._longest = longest
        self.headers: dict[str, Any] = {}

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        """Yield each note's fields with the number of the line where it begins.

        Raises:
            MalformedBody: not UTF-8, a quote that never closes, a line beyond the cap; names the line.
        """
        feed = iter(self._lines)
        self.headers, first = read_headers(feed)
        if first:
            rows = chain([first], feed)
            dialect = Dialect(self.headers["separator"])
            yield from CsvRows(rows, self._lines.line, dialect, self._longest, comments=True)
