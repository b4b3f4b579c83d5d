"""Which source reads a file: by preset, by media type, by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import splitext
from typing import Any

from backend.core.errors import InvalidRequest, UnsupportedMedia
from backend.formats.base import ItemProblem
from backend.formats.csv_source import CsvSource
from backend.formats.json_sources import JsonSource, NdjsonSource
from backend.formats.markdown_sources import MarkdownSource, ZipSource
from backend.formats.presets.registry import PRESETS
from backend.formats.sources import Source

_SOURCES: dict[str, type[Source]] = {
    source.name: source for source in (JsonSource, NdjsonSource, CsvSource, MarkdownSource, ZipSource)
}
_MEDIA = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
}
_EXTENSIONS = {
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".tsv": "csv",
    ".md": "markdown",
    ".markdown": "markdown",
    ".zip": "zip",
}
_ANYTHING = frozenset({"application/octet-stream", "binary/octet-stream", "text/plain", ""})
ACCEPTED = ("application/json", "application/x-ndjson", "text/csv", "text/markdown", "application/zip")


def source_for(media_type: str, preset: str | None = None, file_name: str | None = None) -> Source:
    """A new source for one file.

    Args:
        media_type: of the body, or of the file in a form.
        preset: the product the file comes from; decides alone.
        file_name: decides where the media type says nothing.

    Raises:
        InvalidRequest: an unknown preset, naming those there are.
        UnsupportedMedia: an unknown type, naming those accepted.
    """
    if preset is not None:
        if preset not in PRESETS:
            raise InvalidRequest(f"Unknown preset. Must be one of: {', '.join(PRESETS)}")
        return PRESETS[preset].source()
    name = _MEDIA.get(media_type.lower())
    if name is None and media_type.lower() in _ANYTHING:
        name = _EXTENSIONS.get(splitext(file_name or "")[1].lower())
    if name is None:
        raise UnsupportedMedia(f"Content-Type must be one of: {', '.join(ACCEPTED)}")
    return _SOURCES[name]()


def to_card(
    source_name: str, context: Mapping[str, Any], raw: bytes, options: Mapping[str, Any]
) -> dict[str, Any] | bytes | ItemProblem:
    """A staged record as a card (JSON bytes, or what makes them), or why it is none. Never raises."""
    known = _SOURCES.get(source_name)
    source: Source = PRESETS[source_name].source() if known is None else known()
    return source.to_card(context, raw, options)
