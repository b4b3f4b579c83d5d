"""Every preset by its name, and a look at what a file would become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.formats.presets.archive_sources import NotionSource, ObsidianSource, TwitterSource
from backend.formats.presets.examples import EXAMPLES, Example
from backend.formats.presets.table_sources import AnkiSource, ReadwiseSource
from backend.formats.sources import Source

_CSV = ("text/csv", "application/csv", "application/vnd.ms-excel", "text/plain")
_ZIP = ("application/zip", "application/x-zip-compressed")
_JSON = ("application/json", "application/x-ndjson")
_JS = (
    "application/javascript",
    "text/javascript",
    "application/x-javascript",
    "application/json",
    "text/plain",
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One product whose files are understood.

    ``media_types`` and ``extensions`` are what ``?preset=`` accepts (``application/octet-stream`` always
    is); ``source`` makes a new reader for one file.
    """

    name: str
    title: str
    description: str
    media_types: tuple[str, ...]
    extensions: tuple[str, ...]
    example: Example
    source: Callable[[], Source]


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "readwise",
            "Readwise highlights (CSV)",
            "One card per highlight: the book or article is the title, highlight and note are the body.",
            _CSV,
            (".csv",),
            EXAMPLES["readwise"],
            ReadwiseSource,
        ),
        Preset(
            "anki",
            "Anki notes in plain text",
            "One card per note: the first field is the title, the others are the body as text; "
            "the deck is the category, the GUID the external id.",
            ("text/plain", "text/tab-separated-values", "text/csv"),
            (".txt", ".tsv", ".csv"),
            EXAMPLES["anki"],
            AnkiSource,
        ),
        Preset(
            "obsidian",
            "Obsidian vault (zip)",
            "One card per note: the file's name is the title, its top folder the category; "
            "tags come from the properties and the text.",
            (*_ZIP, *_JSON),
            (".zip", ".json", ".ndjson"),
            EXAMPLES["obsidian"],
            ObsidianSource,
        ),
        Preset(
            "notion",
            "Notion export (Markdown & CSV zip, or one CSV)",
            "One card per page and per row of a database; the database or top page is the category.",
            (*_ZIP, *_CSV, *_JSON),
            (".zip", ".csv", ".json", ".ndjson"),
            EXAMPLES["notion"],
            NotionSource,
        ),
        Preset(
            "twitter",
            "Twitter (X) archive (zip, or its tweets.js)",
            "One card per tweet, links expanded; hashtags are the tags, the tweet's id the external id.",
            (*_ZIP, *_JS, *_JSON),
            (".zip", ".js", ".json", ".ndjson"),
            EXAMPLES["twitter"],
            TwitterSource,
        ),
    )
}
