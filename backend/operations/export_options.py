"""What an export is asked for: its format, its compression, its selection. Pure but for the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from backend.cards import filters
from backend.cards.filters import Filters
from backend.cards.statements import Selection
from backend.cards.watermark import Watermark, read_token
from backend.core.errors import FieldError, InvalidRequest, ValidationFailed
from backend.formats import write_compressed


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: how the rows are shaped, its media type, its file name's end."""

    shape: str
    media_type: str
    suffix: str


# The documented three first, as the documented message names them.
FORMATS = {
    "json": Format("json", "application/json", ".json"),
    "markdown": Format("markdown", "text/markdown; charset=utf-8", ".md"),
    "csv": Format("csv", "text/csv; charset=utf-8", ".csv"),
    "ndjson": Format("ndjson", "application/x-ndjson", ".ndjson"),
    "zip": Format("files", "application/zip", ".zip"),
}
COMPRESSIONS = ("gzip", "zstd")
_OWN = ("format", "compression", "include_metadata", "since")
NAMES = (*_OWN, *filters.NAMES)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """A valid request. ``since`` is the token of a watermark."""

    format: str = "json"
    compression: str | None = None
    include_metadata: bool = True
    since: str | None = None
    filters: Filters = field(default_factory=Filters)

    @property
    def form(self) -> Format:
        return FORMATS[self.format]

    @property
    def media_type(self) -> str:
        """Of the file as it is stored."""
        if self.compression is None:
            return self.form.media_type
        return write_compressed.MEDIA_TYPES[self.compression]

    @property
    def suffix(self) -> str:
        """The end of the file's name."""
        return self.form.suffix + write_compressed.SUFFIXES.get(self.compression or "", "")

    def file_name(self, when: datetime) -> str:
        """ASCII, for ``Content-Disposition``."""
        return f"extrophi-cards-{when:%Y%m%d-%H%M%S}{self.suffix}"

    def watermark(self) -> Watermark | None:
        """Where the earlier export ended."""
        return None if self.since is None else read_token(self.since)

    def selection(self, owner: UUID) -> Selection:
        """What to read."""
        return Selection(owner, self.form.shape, self.filters, self.include_metadata, self.watermark())

    def as_json(self) -> dict[str, Any]:
        """What ``read_options`` reads back."""
        own = {name: getattr(self, name) for name in _OWN}
        return {name: value for name, value in own.items() if value is not None} | self.filters.as_json()


def read_options(raw: Mapping[str, Any]) -> ExportOptions:
    """Check a request's fields.

    Raises:
        InvalidRequest: for an unknown format and for too many card ids (the documented 400s).
        ValidationFailed: with a pointer to each other field that is wrong.
    """
    name = raw.get("format", "json")
    if name is None:
        name = "json"
    if not isinstance(name, str) or name.lower() not in FORMATS:
        raise InvalidRequest(f"Invalid format. Must be one of: {', '.join(FORMATS)}", code="invalid_format")
    problems = [FieldError(f"/{_pointer(one)}", "is not a known field") for one in raw if one not in NAMES]
    compression = raw.get("compression")
    if compression is not None and compression not in COMPRESSIONS:
        problems.append(FieldError("/compression", f"must be one of {', '.join(COMPRESSIONS)}, or null"))
    include_metadata = raw.get("include_metadata")
    if not isinstance(include_metadata, bool | None):
        problems.append(FieldError("/include_metadata", "must be true or false"))
    since = raw.get("since")  # an empty one is wrong, and does not mean everything
    chosen = None
    for check in (lambda: filters.validate(raw), lambda: None if since is None else read_token(since)):
        try:
            found = check()
            chosen = found if isinstance(found, Filters) else chosen
        except ValidationFailed as error:
            problems.extend(error.errors)
    if problems or chosen is None:
        raise ValidationFailed("Request body is not valid", errors=tuple(problems[:20]))
    return ExportOptions(name.lower(), compression, include_metadata is not False, since, chosen)


def validate_options(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A request's fields as the options that are stored with the operation. Raises as ``read_options``."""
    return read_options(raw).as_json()


def _pointer(name: object) -> str:
    """A step of a JSON pointer (RFC 6901), without what cannot be shown."""
    text = str(name)[:100].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return text.replace("~", "~0").replace("/", "~1")
