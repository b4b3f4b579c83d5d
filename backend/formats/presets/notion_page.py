"""A page, or a row of a database, of a Notion export as a card.

A page is a Markdown file named ``Title <32 hex digits>.md`` whose text begins with ``# Title``; a page of
a database has its properties as ``Name: value`` lines under that heading. A database is a CSV whose first
column is the title.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from backend.formats.fitting import Draft, split_list
from backend.formats.presets.times import read_time

DEFAULT_CATEGORY = "NOTION"
PLATFORM = "notion"

_ID = re.compile(
    r"(?P<name>.*?)[ _-]?(?P<id>[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z", re.DOTALL
)
# Folders that Notion puts around everything and that name nothing of the writer's.
_WRAPPER = re.compile(
    r"(?:Export(?:Block)?-[0-9a-f-]+(?:-Part-\d+)?|Private & Shared|Private|Shared)\Z", re.IGNORECASE
)
_HEADING = re.compile(r"\A(?:\ufeff)?\s*#[ \t]+(?P<title>[^\r\n]*)(?:\r\n|\r|\n|\Z)")
_PROPERTY = re.compile(r"(?P<name>[^\s:#>|*`\[!-][^:\r\n]{0,79}):(?:[ \t]+(?P<value>.*))?\Z")

_TITLES = ("name", "title", "page", "task name")
_BODIES = ("body", "content", "text", "notes", "note", "description", "summary")
_TAGS = ("tags", "tag", "labels", "keywords", "multi-select")
_TIMES = ("created", "created time", "created at", "date created", "creation date")
_URLS = ("url", "link", "source", "source url", "website")
_CATEGORIES = ("category",)
_LEVELS = ("privacy level", "privacy_level")


def split_id(name: str) -> tuple[str, str]:
    """``Reading list 0123…ef`` as its name and its id of 32 hex digits, ``""`` where there is none."""
    found = _ID.match(name)
    if found is None:
        return name.strip(), ""
    return found["name"].strip(), found["id"].replace("-", "")


def folders_of(path: str) -> list[str]:
    """The folders above a file, without ids and without the wrappers of the export itself."""
    names = [split_id(part)[0] for part in path.split("/")[:-1] if not _WRAPPER.match(part)]
    return [name for name in names if name]


def card_from_page(
    path: str, text: str, columns: Sequence[str] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The card of one page.

    Args:
        path: its path in the export.
        text: the whole file.
        columns: the columns of the database that the page belongs to, where the export has its CSV: they
            tell properties from a text that merely looks alike. Without it the first paragraph counts as
            properties when each of its lines reads ``Name: value``.
        options: ``default_category``, ``default_privacy_level``.
    """
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    name, page_id = split_id(path.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    title, properties, body = split_page(text, columns)
    draft.title(title, name, path)
    draft.body(body)
    draft.external_id(page_id)
    _take(draft, properties)
    draft.category(*folders_of(path)[:1])
    draft.note("path", path)
    return draft.finish(options)


def card_from_row(
    header: Sequence[str], row: Sequence[str], database: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The card of one row of a database.

    The first of the columns Body, Content, Text, Notes, Description, Summary is the body; columns without
    a field go to the metadata under their names.

    Args:
        header: the column names, the title's first (as Notion writes it) or named Name or Title.
        row: the cells.
        database: the database's name, the category of its rows; ``""`` where it is not known.
        options: ``default_category``, ``default_privacy_level``.
    """
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    pairs = [
        (name.strip() or f"column {place}", cell)
        for place, (name, cell) in enumerate(zip(header, row, strict=False), start=1)
    ]
    title_at = next((place for place, (name, _) in enumerate(pairs) if name.lower() in _TITLES), 0)
    title = pairs.pop(title_at)[1] if pairs else ""
    body_at = _first_named(pairs, _BODIES)
    body = "" if body_at is None else pairs.pop(body_at)[1]
    draft.title(title, next((line for line in body[:8_000].splitlines() if line.strip()), ""), "Untitled")
    draft.body(body)
    _take(draft, pairs)
    draft.category(database)
    draft.note("extra", [cell for cell in row[len(header) :] if cell])
    return draft.finish(options)


def split_page(text: str, columns: Sequence[str] | None) -> tuple[str, list[tuple[str, str]], str]:
    """A page as its title, its properties and its text, which is exactly what follows them."""
    heading = _HEADING.match(text)
    if heading is None:
        return "", [], text
    rest = text[heading.end() :]
    start = _blank_lines(rest)
    properties, used = _properties(rest[start:], columns)
    if properties:
        start += used
        start += _blank_lines(rest[start:])
    return heading["title"].strip(), properties, rest[start:]


def _blank_lines(text: str) -> int:
    found = re.match(r"(?:[ \t]*(?:\r\n|\r|\n))*", text)
    return found.end() if found else 0


def _properties(text: str, columns: Sequence[str] | None) -> tuple[list[tuple[str, str]], int]:
    """The ``Name: value`` lines at the start and how many characters they take; none unless all lines fit.

    A value of several lines goes on until the next known name, which only ``columns`` can tell.
    """
    known = {name.strip() for name in columns} if columns is not None else None
    pairs: list[tuple[str, str]] = []
    used = 0
    for line in text[:262_144].splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if not bare.strip():
            break
        found = _PROPERTY.match(bare)
        named = found is not None and (known is None or found["name"].strip() in known)
        if found is not None and named:
            if any(name == found["name"].strip() for name, _ in pairs):
                return [], 0
            pairs.append((found["name"].strip(), found["value"] or ""))
        elif known is not None and pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}\n{bare}")
        else:
            return [], 0
        used += len(line)
    return pairs, used


def _take(draft: Draft, pairs: Sequence[tuple[str, str]]) -> None:
    """Put each property into its field, or into the metadata under its own name."""
    for name, value in pairs:
        bare = name.lower()
        if bare in _TAGS:
            draft.tags(split_list(value))
        elif bare in _TIMES:
            draft.created_at(value, read_time(value), name)
        elif bare in _URLS:
            draft.url(value, name)
        elif bare in _CATEGORIES and value.strip() and not draft.has("category"):
            draft.category(value)
        elif bare in _LEVELS:
            draft.privacy_level(value.strip())
        else:
            draft.note(name, value)


def _first_named(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> int | None:
    """Where the first of these names stands that has a value."""
    for wanted in names:
        for place, (name, value) in enumerate(pairs):
            if name.lower() == wanted and value.strip():
                return place
    return None
