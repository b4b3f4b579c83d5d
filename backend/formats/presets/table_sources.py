"""Presets that are tables: Readwise's CSV and Anki's text export."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from backend.core.errors import MalformedBody
from backend.formats.presets import anki_note, readwise_row
from backend.formats.presets.anki_rows import AnkiRows
from backend.formats.presets.kinds import Limits, Record
from backend.formats.presets.opening import decoded
from backend.formats.presets.sources import PresetSource, is_row, to_record
from backend.formats.presets.text_rows import CsvRows, TextLines

# The columns that the file of failed rows adds; such a file is imported as if they were not there.
ADDED_COLUMNS = frozenset({"_index", "_row", "_field", "_code", "_message"})
_DELIMITERS = (",", ";", "\t", "|")


class ReadwiseSource(PresetSource):
    """A record is a row: a JSON array of its cells. The context is ``{"header": […]}``."""

    name = "readwise"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with decoded(path, encoding, limits) as stream:
            for header, row, line in table(stream, limits.max_record_bytes):
                if not self._context:
                    if not readwise_row.has_highlights(header):
                        raise MalformedBody("The file has no column named Highlight")
                    self._context = {"header": header}
                yield to_record(row, line)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        if not is_row(record):
            return None
        return readwise_row.card_from_row(context.get("header", ()), record, options)


class AnkiSource(PresetSource):
    """A record is a note: a JSON array of its fields. The context is the file's header lines."""

    name = "anki"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with decoded(path, encoding, limits) as stream:
            rows = AnkiRows(stream, limits.max_record_bytes)
            for row, line in rows:
                self._context = rows.headers
                yield to_record(row, line)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        return anki_note.card_from_note(context, record, options) if is_row(record) else None


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
