"""The fields of a card as files carry them, and how each kind of file writes a value.

Exports carry every field, in this order. CSV: null is an empty cell, ``tags`` a JSON array, ``metadata`` a
JSON object, times RFC 3339; a text cell that a spreadsheet would run as a formula has one ``'`` in front
(see ``unguarded``). Markdown: front matter whose lines are ``key: <JSON value>``, ``body_bytes`` (the size of
the body in UTF-8) among them, so that documents in one file are told apart whatever a body says.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from backend.core.errors import MalformedBody
from backend.formats.base import ItemProblem
from backend.formats.fitting import first_line, is_url, split_list
from backend.formats.presets.times import read_time
from backend.formats.strict_json import check

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
    {"id", "is_published", "published_url", "published_at", "updated_at", "deleted_at", "tombstone"}
)
# In every export and in hardly another file: where it is, the names above are ours.
_MARK_OF_EXPORTS = "is_published"
# Columns, or properties, that a file of failed records adds.
ADDED_COLUMNS = ("_index", "_row", "_field", "_code", "_message")
_IGNORED = frozenset({*ADDED_COLUMNS, "_error", "body_bytes"})
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
    ignored = _IGNORED | ASSIGNED_FIELDS if _MARK_OF_EXPORTS in plain else _IGNORED
    taken = {name for name in plain if name in CARD_FIELDS}
    places: list[str | None] = []
    for index, name in enumerate(plain):
        if name in ignored or (name in CARD_FIELDS and name not in plain[:index]):
            places.append(name)
        elif _ALIASES.get(name, name) in CARD_FIELDS and _ALIASES.get(name) not in taken and name in _ALIASES:
            taken.add(_ALIASES[name])
            places.append(_ALIASES[name])
        else:
            places.append(None)
    return places


def divided(
    names: Iterable[str], places: Iterable[str | None], values: Iterable[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record's values by field, and by their own names those that are none.

    A column that only has another name for a field is none where its value does not fit: a ``url`` that is
    no URL, a ``created`` that is no time. A column without a name is called by its place, one whose name was
    there already is numbered.
    """
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for number, (name, place, value) in enumerate(zip(names, places, values, strict=False), 1):
        if place is not None and (canonical(name) == place or _fits(place, value)):
            fields[place] = value
        elif value not in (None, ""):
            extra[_free(name if name.strip() else f"column {number}", extra)] = value
    return fields, extra


def _free(name: str, *taken: Mapping[str, Any]) -> str:
    """The name, numbered where it is taken."""
    free, times = name, 2
    while any(free in names for names in taken):
        free, times = f"{name} ({times})", times + 1
    return free


def _fits(place: str, value: Any) -> bool:
    if place == "source_url":
        return value in (None, "") or (isinstance(value, str) and is_url(value))
    if place == "created_at":
        return value in (None, "") or _is_time(_text(value)) or read_time(_text(value)) is not None
    return True


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
    for name in ("source_platform", "source_url", "external_id"):
        text = _text(values.get(name))
        if text:
            card[name] = text
    when = _text(values.get("created_at"))
    if when:
        card["created_at"] = when if _is_time(when) else read_time(when) or when
    card["tags"] = _tags(values.get("tags"))
    metadata = values.get("metadata")
    own = _metadata(metadata)
    if own is None:
        return ItemProblem("invalid_value", "metadata must be a JSON object", "metadata")
    new: dict[str, Any] = {}
    for name, value in extra.items():
        if value not in (None, ""):
            new[_free(name, own, new)] = _plain(value)
    if isinstance(metadata, str) and own:
        card["metadata"] = RawObject(_joined(metadata.strip(), new))
    elif own or new:
        card["metadata"] = own | new
    return card


class RawObject(str):
    """A JSON object as it was written: numbers keep their digits, which Python's would lose."""

    __slots__ = ()


def encoded(card: Mapping[str, Any]) -> bytes:
    """The JSON of a card that ``card_of`` gave."""
    metadata = card.get("metadata")
    if not isinstance(metadata, RawObject):
        return json.dumps(card).encode()
    rest = json.dumps({name: value for name, value in card.items() if name != "metadata"})
    return f'{rest[:-1]}, "metadata": {metadata}}}'.encode("utf-8", "surrogatepass")


def _joined(written: str, added: Mapping[str, Any]) -> str:
    """An object that is not empty, as it is written, and further members."""
    return f"{written[:-1]}, {json.dumps(added)[1:]}" if added else written


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)


def _is_time(text: str) -> bool:
    return _RFC_3339.match(text) is not None


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
    """A copy of the object, for looking at where it was JSON text; ``None`` when it is none."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = check(value.encode("utf-8", "surrogatepass"))
        except MalformedBody:
            return None
    if not isinstance(value, dict):
        return None
    return {str(name): _plain(one) for name, one in value.items()}


def _plain(value: Any) -> Any:
    """A value of front matter as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()  # as YAML's !!binary writes it
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value
