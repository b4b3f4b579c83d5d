"""The slow path of reading a card: what is wrong with it, field by field."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from backend.cards.schema import (
    IGNORED,
    KNOWN,
    MAX_BODY_BYTES,
    MAX_CATEGORY,
    MAX_EXTERNAL_ID,
    MAX_METADATA_BYTES,
    MAX_PLATFORM,
    MAX_TAG,
    MAX_TAGS,
    MAX_TITLE,
    MAX_URL,
    NEWEST,
    OLDEST,
    PRIVACY_LEVELS,
    REQUIRED,
    CardProblem,
)

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Returns a match where it is an http or https URL that names a host.
is_url = re.compile(r"https?://[^\s/?#]+[^\s]*\Z", re.IGNORECASE).match


def find_problem(value: dict[str, Any]) -> CardProblem | None:
    """The first thing that is wrong with a decoded card; ``None`` where nothing is."""
    for name in REQUIRED:
        if name not in value:
            return CardProblem("missing_field", f"{name} is required", name)
    for name in value:
        if name not in KNOWN:
            return CardProblem("unknown_field", "The card has a field that is not known", clean(name[:100]))
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
    if value.get("source_url") is not None and is_url(value["source_url"]) is None:
        return CardProblem("invalid_value", "source_url must be an http or https URL", "source_url")
    return _find_time_problem(value.get("created_at"))


def _find_time_problem(text: str | None) -> CardProblem | None:
    if text is None:
        return None
    try:
        when = aware(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, OverflowError):
        when = None
    if when is None or not OLDEST <= when <= NEWEST:
        return CardProblem("invalid_value", "created_at must be an RFC 3339 date and time", "created_at")
    return None


def aware(when: datetime) -> datetime:
    """A time without an offset is UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def clean(text: str) -> str:
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
