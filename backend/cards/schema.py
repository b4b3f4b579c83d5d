"""What a card must look like. Lengths are Unicode code points, sizes are bytes of UTF-8."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

PRIVACY_LEVELS = frozenset({"PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS"})
MAX_TITLE = 1_000
MAX_BODY_BYTES = 1_048_576
MAX_CATEGORY = 50
MAX_TAGS = 50
MAX_TAG = 100
MAX_PLATFORM = 100
MAX_URL = 2_048
MAX_EXTERNAL_ID = 255
MAX_METADATA_BYTES = 65_536
REQUIRED = ("title", "body", "category", "privacy_level")
# Fields that an export carries and the server assigns: accepted so that an export can be imported as it
# is, and ignored. ``_error`` is what an errors file may carry.
IGNORED = frozenset(
    {"id", "is_published", "published_url", "published_at", "updated_at", "deleted_at", "_error"}
)
KNOWN = frozenset(
    {*REQUIRED, "tags", "source_platform", "source_url", "external_id", "metadata", "created_at", *IGNORED}
)
# An entry of an errors file wraps the card it is about.
WRAPPER = frozenset({"card", "code", "message"})
OLDEST = datetime(1, 1, 3, tzinfo=UTC)
NEWEST = datetime(9999, 12, 29, tzinfo=UTC)

_Tag = Annotated[str, Meta(max_length=MAX_TAG)]


class CardIn(Struct, forbid_unknown_fields=True, gc=False):
    """One card as a caller sends it. ``UNSET`` is what was not sent; to a card, null is the same."""

    title: Annotated[str, Meta(min_length=1, max_length=MAX_TITLE)]
    body: Annotated[str, Meta(max_length=MAX_BODY_BYTES)]
    category: Annotated[str, Meta(min_length=1, max_length=MAX_CATEGORY)]
    privacy_level: str
    tags: Annotated[list[_Tag], Meta(max_length=MAX_TAGS)] | UnsetType | None = UNSET
    source_platform: Annotated[str, Meta(max_length=MAX_PLATFORM)] | UnsetType | None = UNSET
    source_url: Annotated[str, Meta(max_length=MAX_URL)] | UnsetType | None = UNSET
    external_id: Annotated[str, Meta(min_length=1, max_length=MAX_EXTERNAL_ID)] | UnsetType | None = UNSET
    metadata: Raw | UnsetType = UNSET
    created_at: datetime | UnsetType | None = UNSET
    id: Raw | UnsetType = UNSET
    is_published: Raw | UnsetType = UNSET
    published_url: Raw | UnsetType = UNSET
    published_at: Raw | UnsetType = UNSET
    updated_at: Raw | UnsetType = UNSET
    deleted_at: Raw | UnsetType = UNSET
    error: Raw | UnsetType = field(default=UNSET, name="_error")


@dataclass(frozen=True, slots=True)
class CardProblem:
    """Why a card was refused. ``code`` is stable, ``message`` is for a person, neither echoes the value."""

    code: str
    message: str
    field: str | None = None
    title: str | None = None


def metadata_bytes(card: CardIn) -> bytes:
    """The metadata as sent, for jsonb; ``{}`` where there is none."""
    if card.metadata is UNSET:
        return b"{}"
    raw = bytes(card.metadata)
    return b"{}" if raw == b"null" else raw
