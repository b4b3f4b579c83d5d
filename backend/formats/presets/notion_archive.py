"""The pages and rows of a Notion export, one at a time.

A "Markdown & CSV" export is a zip, and a large one a zip of zips (``Export-…-Part-1.zip``). Rows of a
database that also have a page are taken from the page, which says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from posixpath import basename, dirname
from typing import Any, BinaryIO, Protocol

from backend.formats.csv_dialect import Dialect
from backend.formats.presets.archives import NotionPlan, page_key, plan_notion
from backend.formats.presets.notion_page import split_id
from backend.formats.text_rows import CsvRows, TextLines


class Archive(Protocol):
    """An opened archive whose names are checked and whose entries are capped while they are read."""

    def names(self) -> list[str]:
        """The files in it."""

    def open(self, name: str) -> BinaryIO:
        """One file, to be closed by the caller."""


OpenPart = Callable[[Archive, str], AbstractContextManager[Archive]]


def notion_records(archive: Archive, open_part: OpenPart, longest: int) -> Iterator[dict[str, Any]]:
    """Yield pages as ``{"path", "text"}`` (with ``"columns"`` where their database is known) and rows as
    ``{"path", "header", "row"}``; a page that cannot be read as ``{"path", "unreadable"}``.

    Args:
        archive: the export.
        open_part: opens a zip inside of it; called for parts at the top only, never for a part's own zips.
        longest: the most characters of a page, a line or a cell.
    """
    plan = plan_notion(archive.names())
    yield from _of(archive, plan, longest)
    for name in plan.parts:
        with open_part(archive, name) as part:
            yield from _of(part, plan_notion(part.names()), longest)


def _of(archive: Archive, plan: NotionPlan, longest: int) -> Iterator[dict[str, Any]]:
    columns = {
        folder: next((row for row, _ in islice(_rows(archive, database, longest), 1)), [])
        for folder, database in plan.database_of.items()
    }
    pages: dict[str, Counter[str]] = {folder: Counter() for folder in columns}
    for path in plan.pages:
        folder = dirname(path)
        record = read_page(archive, path, longest)
        if folder in columns:
            record["columns"] = columns[folder]
            pages[folder][page_key(split_id(basename(path).rsplit(".", 1)[0])[0])] += 1
        yield record
    for database in plan.databases:
        covered = pages.get(plan.rows_of.get(database, ""), Counter())
        header: list[str] | None = None
        for row, _ in _rows(archive, database, longest):
            if header is None:
                header = row
                continue
            key = page_key(row[0]) or "untitled"
            if covered[key] > 0:
                covered[key] -= 1
            else:
                yield {"path": database, "header": header, "row": row}


def _rows(archive: Archive, name: str, longest: int) -> Iterator[tuple[list[str], int]]:
    with archive.open(name) as stream:
        lines = TextLines(stream, longest)
        yield from CsvRows(iter(lines), 1, Dialect(), longest)


def read_page(archive: Archive, name: str, longest: int) -> dict[str, Any]:
    """A page with its text, or with ``unreadable``: one bad page must not fail the others."""
    with archive.open(name) as stream:
        data = stream.read(longest + 1)
    if len(data) > longest:
        return {"path": name, "unreadable": "The page is too long"}
    try:
        return {"path": name, "text": data.decode("utf-8-sig")}
    except UnicodeDecodeError:
        return {"path": name, "unreadable": "The page is not UTF-8"}
