"""Pure: what kind of file something is, by its name or its first bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from backend.client.errors import NotAFormat

JSON = "application/json"
NDJSON = "application/x-ndjson"

MEDIA_TYPES = {
    "json": JSON,
    "ndjson": NDJSON,
    "jsonl": NDJSON,
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "md": "text/markdown",
    "markdown": "text/markdown",
    "zip": "application/zip",
    "txt": "text/plain",
    "js": "application/javascript",
}
ENCODINGS = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Kind:
    """A media type, and how the file is compressed, if it is."""

    media_type: str
    encoding: str | None = None


def of_name(name: str, *, media_type: str | None = None, preset: str | None = None) -> Kind:
    """By the extensions: ``cards.csv.gz`` is gzipped CSV. ``media_type`` overrules; a preset knows its files.

    Raises:
        NotAFormat: when the name says nothing.
    """
    parts = name.rpartition("/")[2].lower().split(".")[1:]
    encoding = ENCODINGS.get(parts[-1]) if parts else None
    extension = (parts[:-1] if encoding else parts)[-1:]
    found = media_type or (MEDIA_TYPES.get(extension[0]) if extension else None)
    if found is None and preset is None:
        known = ", ".join(sorted(MEDIA_TYPES))
        raise NotAFormat(f"What kind of file this is cannot be told from its name. Known extensions: {known}")
    return Kind(found or _UNKNOWN, encoding)


def of_start(start: bytes) -> Kind:
    """By the first bytes of a file without a name: zip, JSON, NDJSON, Markdown with front matter.

    Raises:
        NotAFormat: for anything else (CSV has no mark of its own).
    """
    if start.startswith(b"PK\x03\x04"):
        return Kind("application/zip")
    text = start.lstrip(b" \t\r\n")
    if text.startswith(b"["):
        return Kind(JSON)
    if text.startswith(b"{"):
        return Kind(NDJSON if _is_whole_card(text.partition(b"\n")) else JSON)
    if text.startswith((b"---\n", b"---\r\n")):
        return Kind("text/markdown")
    raise NotAFormat("What kind of file this is cannot be told from its start; say which.")


def _is_whole_card(line_and_rest: tuple[bytes, bytes, bytes]) -> bool:
    """Whether the first line is an object by itself, and not the envelope of a JSON import."""
    try:
        found = json.loads(line_and_rest[0])
    except ValueError:
        return False
    return isinstance(found, dict) and not {"cards", "errors"} & set(found)
