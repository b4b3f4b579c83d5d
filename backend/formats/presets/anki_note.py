"""One note of an Anki text export as a card.

The first field (the front) becomes the title, the other fields the body. Columns that the file's header
names as guid, note type, deck or tags are taken out first; what is left are the note's own fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.formats.fitting import MAX_TITLE, Draft, first_line
from backend.formats.presets.html_text import html_to_text, looks_like_html

DEFAULT_CATEGORY = "ANKI"
PLATFORM = "anki"
_SPECIAL = ("guid", "notetype", "deck", "tags")
# Fields as they came are kept beside their text up to this size, well under the metadata's own limit.
_MAX_KEPT_HTML = 32_768


def card_from_note(
    headers: Mapping[str, Any], row: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The card of one row.

    Args:
        headers: the file's header lines as ``backend.formats.presets.anki`` reads them: ``html`` (true,
            false, or null where the file does not say), ``columns``, ``deck``, ``notetype``, ``tags``, and
            the 1-based ``guid column``, ``notetype column``, ``deck column``, ``tags column``.
        row: the fields, as they stand in the file.
        options: ``default_category``, ``default_privacy_level``.

    HTML becomes text; where that dropped markup, the fields as they came are kept in ``metadata.fields``.
    """
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    places = {name: headers.get(f"{name} column") for name in _SPECIAL}
    special = {
        name: row[place - 1].strip() if isinstance(place, int) and 1 <= place <= len(row) else ""
        for name, place in places.items()
    }
    taken = {place - 1 for place in places.values() if isinstance(place, int)}
    fields = [cell for index, cell in enumerate(row) if index not in taken]
    texts = [_as_text(cell, headers.get("html")) for cell in fields]

    front = next((text for text in texts if text.strip()), "")
    draft.title(first_line(front))
    draft.body(_body(texts, front))

    deck = special["deck"] or str(headers.get("deck") or "")
    draft.category(_top_deck(deck))
    draft.note("deck", deck)
    draft.note("notetype", special["notetype"] or str(headers.get("notetype") or ""))
    draft.external_id(special["guid"])
    draft.tags([*special["tags"].split(), *str(headers.get("tags") or "").split()])
    if any("<" in cell and cell != text for cell, text in zip(fields, texts, strict=True)):
        draft.note("fields", _kept(fields, headers.get("columns"), taken))
    return draft.finish(options)


def _as_text(cell: str, html: bool | None) -> str:
    if html is False or (html is None and not looks_like_html(cell)):
        return cell
    return html_to_text(cell)


def _body(texts: Sequence[str], front: str) -> str:
    """The fields after the front; all of them where the title could not take the front whole."""
    rest = list(texts)
    whole = front.strip()
    if "\n" not in whole and len(whole) <= MAX_TITLE and front in rest:
        rest.remove(front)
    others = [text for text in rest if text.strip()]
    return "\n\n".join(others) if others else front


def _top_deck(deck: str) -> str:
    """The topmost name of ``Languages::Japanese::N5``; Anki's own ``Default`` says nothing."""
    top = deck.split("::", 1)[0].strip()
    return "" if top == "Default" else top


def _kept(fields: Sequence[str], columns: Any, taken: set[int]) -> Any:
    """The fields as they came, by name where the file names its columns; nothing when they are too big."""
    if sum(len(cell.encode("utf-8", "surrogatepass")) for cell in fields) > _MAX_KEPT_HTML:
        return None
    if isinstance(columns, list):
        names = [str(name) for index, name in enumerate(columns) if index not in taken]
        if len(names) >= len(fields) and len(set(names)) == len(names):
            return dict(zip(names, fields, strict=False))
    return list(fields)
