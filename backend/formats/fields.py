"""The fields of a card as files carry them, and how each kind of file writes a value.

Exports carry every field, in this order. CSV: null is an empty cell, ``tags`` a JSON array, ``metadata`` a
JSON object, times RFC 3339; a text cell that a spreadsheet would run as a formula has one ``'`` in front
(see ``unguarded``). Markdown: front matter whose lines are ``key: <JSON value>``, ``body_bytes`` (the size of
the body in UTF-8) among them, so that documents in one file are told apart whatever a body says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from backend.formats.base import ItemProblem
from backend.formats.fitting import first_line, split_list

# What an import reads.
CARD_FIELDS = (
    "title",
    "body",
    "category",
    "privacy_level",
    "tags",
    "source_platform",
    "source_url",
    "external_id",
    "metadata",
    "created_at",
)
# What an export carries beside that and the server decides anew.
ASSIGNED_FIELDS = frozenset(
    {"id", "is_published", "published_url", "published_at", "updated_at", "deleted_at", "_error", "tombstone"}
)
# Columns that a file of failed rows adds.
ADDED_COLUMNS = frozenset({"_index", "_row", "_field", "_code", "_message"})
# Other names for the same, where a file does not use the field's own.
_ALIASES = {
    "content": "body",
    "text": "body",
    "url": "source_url",
    "link": "source_url",
    "privacy": "privacy_level",
    "tag": "tags",
    "created": "created_at",
}
DEFAULT_CATEGORY = "IMPORTED"
DEFAULT_PRIVACY_LEVEL = "PRIVATE"
GUARDED = frozenset("=+-@\t\r'")


def guarded(text: str) -> str:
    """A cell that no spreadsheet runs: ``'`` in front of what starts like a formula, or like this guard."""
    return "'" + text if text[:1] in GUARDED and text else text


def unguarded(cell: str) -> str:
    """The inverse of ``guarded``. An apostrophe that guards nothing stays: foreign files have those."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in GUARDED and len(cell) > 1 else cell


def canonical(name: str) -> str:
    """A column's or property's name as a card's field, or as it is."""
    return "_".join(name.strip().lower().replace("-", " ").split())


def placed(names: list[str]) -> list[str | None]:
    """Which field each column holds; ``None`` for one that goes to the metadata. The first of equals wins."""
    plain = [canonical(name) for name in names]
    taken = {name for name in plain if name in CARD_FIELDS}
    places: list[str | None] = []
    for index, name in enumerate(plain):
        if name in ASSIGNED_FIELDS or (name in CARD_FIELDS and name not in plain[:index]):
            places.append(name)
        elif _ALIASES.get(name, name) in CARD_FIELDS and _ALIASES.get(name) not in taken and name in _ALIASES:
            taken.add(_ALIASES[name])
            places.append(_ALIASES[name])
        else:
            places.append(None)
    return places


def card_of(
    values: Mapping[str, Any],
    extra: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    fallback_title: str = "",
) -> dict[str, Any] | ItemProblem:
    """A card out of a file's fields: what is missing and has a default gets it, the rest goes to metadata.

    Args:
        values: by field; texts, or what front matter holds (numbers, dates, lists).
        extra: what is no field, by its own name.
        options: ``default_category``, ``default_privacy_level``.
        fallback_title: for a card that has none; else its first line.
    """
    card: dict[str, Any] = {"body": _text(values.get("body"))}
    card["title"] = _text(values.get("title")) or fallback_title or first_line(card["body"])
    card["category"] = _text(values.get("category")) or options.get("default_category") or DEFAULT_CATEGORY
    card["privacy_level"] = (
        _text(values.get("privacy_level")) or options.get("default_privacy_level") or DEFAULT_PRIVACY_LEVEL
    )
    for name in ("source_platform", "source_url", "external_id", "created_at"):
        text = _text(values.get(name))
        if text:
            card[name] = text
    card["tags"] = _tags(values.get("tags"))
    metadata = _metadata(values.get("metadata"))
    if metadata is None:
        return ItemProblem("invalid_value", "metadata must be a JSON object", "metadata")
    for name, value in extra.items():
        if value not in (None, "") and name not in metadata:
            metadata[name] = _plain(value)
    if metadata:
        card["metadata"] = metadata
    return card


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime | date):
        return _plain(value)  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(_plain(value), ensure_ascii=False)


def _tags(value: Any) -> list[str]:
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                found = json.loads(value)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, list):
                return [_text(one) for one in found]
        return split_list(value)
    if isinstance(value, list):
        return [_text(one) for one in value if one is not None]
    return [] if value is None else [_text(value)]


def _metadata(value: Any) -> dict[str, Any] | None:
    """A copy of the object; ``None`` when it is none."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, dict):
        return None
    return {str(name): _plain(one) for name, one in value.items()}


def _plain(value: Any) -> Any:
    """A value of front matter as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value
