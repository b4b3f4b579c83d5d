"""What a card must look like, and what is said about one that does not.

``read_card`` is the way in: raw JSON bytes of one record to a ``CardIn`` or a ``CardProblem``. A good
card takes the fast path (one msgspec decode); only a card that fails is looked at again, field by
field, to say exactly what is wrong. Lengths are Unicode code points, sizes are bytes of UTF-8.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from backend.core.texts import Texts

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
_NUL = b"\\u0000"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*\Z", re.IGNORECASE)
_OLDEST = datetime(1, 1, 3, tzinfo=UTC)
_NEWEST = datetime(9999, 12, 29, tzinfo=UTC)

_Tag = Annotated[str, Meta(max_length=MAX_TAG)]


class CardIn(Struct, forbid_unknown_fields=True, gc=False):
    """One card as a caller sends it."""

    title: Annotated[str, Meta(min_length=1, max_length=MAX_TITLE)]
    body: Annotated[str, Meta(max_length=MAX_BODY_BYTES)]
    category: Annotated[str, Meta(min_length=1, max_length=MAX_CATEGORY)]
    privacy_level: str
    tags: Annotated[list[_Tag], Meta(max_length=MAX_TAGS)] | None = None
    source_platform: Annotated[str, Meta(max_length=MAX_PLATFORM)] | None = None
    source_url: Annotated[str, Meta(max_length=MAX_URL)] | None = None
    external_id: Annotated[str, Meta(min_length=1, max_length=MAX_EXTERNAL_ID)] | None = None
    metadata: Raw | UnsetType = UNSET
    created_at: datetime | None = None
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


_decode = msgspec.json.Decoder(CardIn).decode
_decode_all = msgspec.json.Decoder(list[CardIn]).decode


def read_cards(records: Texts, *, nul: bool = False) -> list[CardIn | CardProblem]:
    """``read_card`` of each record, quicker where all of them are good: they are decoded together.

    Args:
        records: as for ``read_card``; as many as may be in memory twice.
        nul: let NUL characters pass. PostgreSQL refuses them, and to look for them takes a fifth of the time.
    """
    together = b"[%b]" % records.block()
    try:
        if not nul and _NUL in together:
            raise ValueError
        cards = _decode_all(together)
        if len(cards) != len(records):
            raise ValueError
    except ValueError:  # msgspec's errors are
        return list(map(read_card, records.split()))
    tidy = list(map(_tidy, cards))
    if all(tidy) and max(records.lengths, default=0) <= MAX_METADATA_BYTES:
        return list(cards)
    return [
        card if good and len(raw) <= MAX_METADATA_BYTES else read_card(raw)
        for card, good, raw in zip(cards, tidy, records.split(), strict=True)
    ]


def read_card(raw: bytes) -> CardIn | CardProblem:
    """Decode and validate one record.

    Args:
        raw: the record's JSON, already known to be valid JSON (lone surrogate escapes allowed).

    Returns:
        The card with ``privacy_level`` in capitals and an empty ``source_platform`` as none (a table has
        one empty cell for both), or the first problem found. Never raises for bad input.
    """
    try:
        card = _decode(raw)
    except msgspec.MsgspecError:
        return _diagnose(raw)
    tidy = len(raw) <= MAX_METADATA_BYTES and _NUL not in raw and _tidy(card)
    return card if tidy else _diagnose(raw, card)


def _tidy(card: CardIn) -> bool:
    """Put level and platform as they are stored. Whether that was all: the card needs no closer look."""
    level, url, when, metadata = card.privacy_level, card.source_url, card.created_at, card.metadata
    if level not in PRIVACY_LEVELS:
        level = card.privacy_level = level.upper()
        if level not in PRIVACY_LEVELS:
            return False
    if card.source_platform == "":
        card.source_platform = None
    return (
        (url is None or _URL.match(url) is not None)
        and (metadata is UNSET or bytes(metadata)[:1] == b"{")
        and (when is None or (when.tzinfo is not None and _OLDEST <= when <= _NEWEST))
    )


def metadata_bytes(card: CardIn) -> bytes:
    """The metadata as sent, for jsonb; ``{}`` where there is none."""
    if card.metadata is UNSET:
        return b"{}"
    raw = bytes(card.metadata)
    return b"{}" if raw == b"null" else raw


def _diagnose(raw: bytes, card: CardIn | None = None) -> CardIn | CardProblem:
    """The slow path: say what is wrong, or find that nothing is."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return CardProblem("unreadable_row", "The record is not valid JSON")
    if not isinstance(value, dict):
        return CardProblem("not_an_object", "A card must be a JSON object")
    if value.keys() >= WRAPPER and isinstance(value["card"], dict):
        return read_card(_member(raw, "card", value))
    problem = _find_problem(value)
    if problem is not None:
        title = value.get("title")
        return CardProblem(
            problem.code,
            problem.message,
            problem.field,
            _clean(title[:200]) if isinstance(title, str) else None,
        )
    if card is None:
        # Valid for the rules above and refused by the decoder: a number or a date out of its range.
        return CardProblem("invalid_value", "The card has a value that cannot be read")
    card.privacy_level = card.privacy_level.upper()
    card.source_platform = card.source_platform or None
    if card.created_at is not None:
        card.created_at = _aware(card.created_at)
    return card


def _member(raw: bytes, name: str, value: dict[str, Any]) -> bytes:
    """A member as it is written, its numbers digit by digit; written anew only where it cannot be cut out."""
    try:
        return bytes(msgspec.json.decode(raw, type=dict[str, Raw])[name])
    except msgspec.MsgspecError:  # a lone surrogate somewhere
        return json.dumps(value[name], ensure_ascii=True).encode()


def _find_problem(value: dict[str, Any]) -> CardProblem | None:
    for name in REQUIRED:
        if name not in value:
            return CardProblem("missing_field", f"{name} is required", name)
    for name in value:
        if name not in KNOWN:
            return CardProblem("unknown_field", "The card has a field that is not known", _clean(name[:100]))
    for name in ("title", "body", "category", "privacy_level"):
        if not isinstance(value[name], str):
            return CardProblem("wrong_type", f"{name} must be a string", name)
    for name in ("source_platform", "source_url", "external_id", "created_at"):
        if value.get(name) is not None and not isinstance(value[name], str):
            return CardProblem("wrong_type", f"{name} must be a string or null", name)
    return _find_tags_problem(value.get("tags")) or _find_metadata_problem(value) or _find_text_problem(value)


def _find_tags_problem(tags: Any) -> CardProblem | None:
    if tags is None:
        return None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return CardProblem("wrong_type", "tags must be an array of strings", "tags")
    if len(tags) > MAX_TAGS:
        return CardProblem("too_many", f"tags has more than {MAX_TAGS} entries", "tags")
    if any(len(tag) > MAX_TAG for tag in tags):
        return CardProblem("too_long", f"A tag is longer than {MAX_TAG} characters", "tags")
    return None


def _find_metadata_problem(value: dict[str, Any]) -> CardProblem | None:
    metadata = value.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return CardProblem("wrong_type", "metadata must be a JSON object", "metadata")
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode("utf-8", "surrogatepass")) > MAX_METADATA_BYTES:
        return CardProblem("too_long", f"metadata is larger than {MAX_METADATA_BYTES} bytes", "metadata")
    return None


def _find_text_problem(value: dict[str, Any]) -> CardProblem | None:
    for name in KNOWN - IGNORED:
        if name in value and _has_unstorable(value[name]):
            return CardProblem("unstorable", f"{name} contains characters that cannot be stored", name)
    for name, longest in (
        ("title", MAX_TITLE),
        ("category", MAX_CATEGORY),
        ("source_platform", MAX_PLATFORM),
        ("source_url", MAX_URL),
        ("external_id", MAX_EXTERNAL_ID),
    ):
        text = value.get(name)
        if text is not None and len(text) > longest:
            return CardProblem("too_long", f"{name} is longer than {longest} characters", name)
        if not text and text is not None and name in {"title", "category", "external_id"}:
            return CardProblem("too_short", f"{name} must not be empty", name)
    if len(value["body"].encode()) > MAX_BODY_BYTES:
        return CardProblem("too_long", f"body is larger than {MAX_BODY_BYTES} bytes", "body")
    if value["privacy_level"].upper() not in PRIVACY_LEVELS:
        levels = "PRIVATE, PERSONAL, THOUGHTS, JOURNAL, BUSINESS, IDEAS"
        return CardProblem("invalid_value", f"privacy_level must be one of {levels}", "privacy_level")
    if value.get("source_url") is not None and _URL.match(value["source_url"]) is None:
        return CardProblem("invalid_value", "source_url must be an http or https URL", "source_url")
    return _find_time_problem(value.get("created_at"))


def _find_time_problem(text: str | None) -> CardProblem | None:
    if text is None:
        return None
    try:
        when = _aware(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, OverflowError):
        when = None
    if when is None or not _OLDEST <= when <= _NEWEST:
        return CardProblem("invalid_value", "created_at must be an RFC 3339 date and time", "created_at")
    return None


def _aware(when: datetime) -> datetime:
    """A time without an offset is UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _clean(text: str) -> str:
    """Text that PostgreSQL takes, for messages about text that it does not."""
    return _UNSTORABLE.sub("\ufffd", text)


def _has_unstorable(value: Any) -> bool:
    """Whether a NUL or a lone surrogate stands anywhere in it, keys included."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_unstorable(key) or _has_unstorable(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_has_unstorable(item) for item in value)
    return False
