"""Presets that are tables: Readwise's CSV and Anki's text export."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from backend.core.errors import MalformedBody
from backend.formats.base import Limits, Record
from backend.formats.opening import decoded
from backend.formats.presets import anki_note, readwise_row
from backend.formats.presets.anki_rows import AnkiRows
from backend.formats.presets.failed_before import failed_before
from backend.formats.sources import Source, is_row, to_record
from backend.formats.text_rows import table


class ReadwiseSource(Source):
    """A record is a row: a JSON array of its cells. The context is ``{"header": […]}``."""

    name = "readwise"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        failed = failed_before(path, encoding, limits)
        if failed is not None:
            yield from failed
            return
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


class AnkiSource(Source):
    """A record is a note: a JSON array of its fields. The context is the file's header lines."""

    name = "anki"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        failed = failed_before(path, encoding, limits)
        if failed is not None:
            yield from failed
            return
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
