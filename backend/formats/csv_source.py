"""CSV with a header row: any usual delimiter and quoting, columns mapped to fields."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from backend.core.errors import MalformedBody
from backend.formats.base import ItemProblem, Limits, Record
from backend.formats.fields import card_of, divided, placed, unguarded
from backend.formats.opening import decoded
from backend.formats.sources import Source, is_row, to_record
from backend.formats.text_rows import table


class CsvSource(Source):
    """A record is a row: a JSON array of its cells, as they stand. The context is ``{"header": […]}``."""

    name = "csv"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with decoded(path, encoding, limits) as stream:
            for header, row, line in table(stream, limits.max_record_bytes):
                if not self._context:
                    if not {"title", "body"} & set(placed(header)):
                        raise MalformedBody("The header row has no column named title or body")
                    self._context = {"header": header}
                yield to_record(row, line)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | ItemProblem | None:
        header: list[str] = context.get("header", [])
        if not is_row(record):
            return None
        if any(record[len(header) :]):
            return ItemProblem("unreadable_row", f"has {len(record)} cells, the header has {len(header)}")
        values, extra = divided(header, _places(tuple(header)), map(unguarded, record))
        return card_of(values, extra, options)


_cache: dict[tuple[str, ...], list[str | None]] = {}


def _places(header: tuple[str, ...]) -> list[str | None]:
    """``placed``, remembered for the header of the operation at hand."""
    found = _cache.get(header)
    if found is None:
        _cache.clear()
        found = _cache[header] = placed(list(header))
    return found
