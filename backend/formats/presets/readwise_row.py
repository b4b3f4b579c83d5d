"""A row of a Readwise CSV as a card: the highlight is the body, the book or article is the title.

Readwise reads ``Highlight, Title, Author, URL, Note, Location, Date`` and writes ``Highlight, Book Title,
Book Author, Amazon Book ID, Note, Color, Tags, Location Type, Location, Highlighted at, Document tags``;
both headers are understood, in any order and capitalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from backend.formats.fitting import Draft, first_line, split_list
from backend.formats.presets.times import read_time

DEFAULT_CATEGORY = "HIGHLIGHTS"
PLATFORM = "readwise"

# What a header says, once its case and its spaces are gone: the part of the card.
_MEANING = {
    "highlight": "highlight",
    "title": "title",
    "booktitle": "title",
    "documenttitle": "title",
    "author": "author",
    "bookauthor": "author",
    "documentauthor": "author",
    "url": "url",
    "sourceurl": "url",
    "note": "note",
    "date": "date",
    "highlightedat": "date",
    "tags": "tags",
    "documenttags": "document_tags",
    "location": "location",
    "locationtype": "location_type",
    "color": "color",
    "amazonbookid": "amazon_book_id",
}


def meaning_of(header: Sequence[str]) -> list[str]:
    """For each column the part it fills; ``""`` for a column that is unknown or there twice."""
    return _meaning_of(tuple(header))


@lru_cache(maxsize=64)
def _meaning_of(header: tuple[str, ...]) -> list[str]:
    meanings: list[str] = []
    for name in header:
        bare = "".join(letter for letter in name.casefold() if letter.isalnum())
        meaning = _MEANING.get(bare, "")
        meanings.append("" if meaning in meanings else meaning)
    return meanings


def has_highlights(header: Sequence[str]) -> bool:
    """Whether this header can be Readwise's: the highlight is the one column that it needs."""
    return "highlight" in meaning_of(header)


def card_from_row(header: Sequence[str], row: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The card of one row.

    The note follows the highlight in the body, under a ``**Note:**`` mark, because it is the writer's own
    text. Cells beyond the header are kept in ``metadata.extra``.
    """
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    parts: dict[str, str] = {}
    unknown: list[tuple[str, str]] = []
    for name, meaning, cell in zip(header, meaning_of(header), row, strict=False):
        if meaning:
            parts[meaning] = cell
        else:
            unknown.append((name.strip() or "column", cell))

    highlight, note = parts.get("highlight", ""), parts.get("note", "")
    author = parts.get("author", "").strip()
    draft.title(parts.get("title", ""), first_line(highlight), first_line(note), author)
    draft.body(_body(highlight, note))
    draft.tags([*split_list(parts.get("tags", "")), *split_list(parts.get("document_tags", ""))])
    draft.url(parts.get("url", ""))
    when = parts.get("date", "")
    draft.created_at(when, read_time(when), "highlighted_at")
    for name in ("author", "location", "location_type", "color", "amazon_book_id"):
        draft.note(name, parts.get(name, "").strip())
    for name, cell in unknown:
        draft.note(name, cell)
    draft.note("extra", [cell for cell in row[len(header) :] if cell])
    return draft.finish(options)


def _body(highlight: str, note: str) -> str:
    if not note.strip():
        return highlight
    return f"{highlight}\n\n**Note:** {note}" if highlight.strip() else note
