"""A note of an Obsidian vault as a card: the file's name is the title, its top folder the category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.formats.fields import ADDED_COLUMNS, ASSIGNED_FIELDS
from backend.formats.fitting import MAX_EXTERNAL_ID, Draft, is_url, split_list
from backend.formats.presets.tags_in_text import tags_in
from backend.formats.presets.times import read_time

DEFAULT_CATEGORY = "OBSIDIAN"
PLATFORM = "obsidian"
_URL_KEYS = ("source_url", "source", "url", "link")
_TIME_KEYS = ("created_at", "created", "date created", "date")
# Assigned by the server, or read from the text: not worth a second copy in the metadata.
_NOT_KEPT = ASSIGNED_FIELDS | set(ADDED_COLUMNS)


def is_note(path: str) -> bool:
    """Whether this entry is a note: a Markdown file outside of ``.obsidian``, ``.trash`` and the like."""
    parts = path.split("/")
    return (
        path.lower().endswith((".md", ".markdown"))
        and not any(part.startswith(".") for part in parts)
        and parts[0] != "__MACOSX"
    )


def card_from_note(
    path: str, front_matter: Mapping[str, Any], body: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The card of one note.

    Args:
        path: the note's path inside the vault, with ``/``.
        front_matter: its properties, ``{}`` where it has none.
        body: the text after the front matter, kept as it is, wikilinks included.
        options: ``default_category``, ``default_privacy_level``.

    Every property without a field goes to the metadata, as do the path and the aliases.
    """
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    properties = {str(key): value for key, value in front_matter.items()}
    *folders, name = path.split("/")

    draft.title(_text(properties.pop("title", "")), name.rsplit(".", 1)[0], path)
    draft.body(body)
    draft.category(_text(properties.pop("category", "")), folders[0] if folders else "")
    draft.privacy_level(_text(properties.pop("privacy_level", "")))
    own = [tag for key in ("tags", "tag") for tag in _listed(properties.pop(key, None))]
    draft.tags([*own, *tags_in(body)])
    draft.external_id(_text(properties.pop("external_id", "")) or _id_of(path))
    for key in _URL_KEYS:
        if isinstance(properties.get(key), str) and is_url(properties[key].strip()):
            draft.url(properties.pop(key), key)
    for key in _TIME_KEYS:
        when = read_time(_text(properties.get(key, "")))
        if when is not None and not draft.has("created_at"):
            draft.created_at(_text(properties.pop(key)), when, key)
    draft.note("path", path)
    nested = properties.pop("metadata", None)
    for key, value in (*properties.items(), *(nested.items() if isinstance(nested, Mapping) else ())):
        if key not in _NOT_KEPT:
            draft.note(str(key), value)
    return draft.finish(options)


def _id_of(path: str) -> str:
    """The path makes a note findable when the vault is imported again; a longer one than fits cannot."""
    text = f"obsidian:{path}"
    return text if len(text) <= MAX_EXTERNAL_ID else ""


def _text(value: Any) -> str:
    """A scalar of front matter as text: YAML reads a bare date as a date and a title ``1984`` as a number."""
    if value is None or isinstance(value, list | dict | tuple | set):
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _listed(value: Any) -> list[str]:
    """``tags: [a, b]``, ``tags: a, b`` and ``tags: a b`` alike."""
    if isinstance(value, list | tuple | set):
        return [_text(item) for item in value if item is not None]
    return [word for part in split_list(_text(value)) for word in part.split()]
