"""The file of failed records: each as it was sent, with why. Importing it after a fix works as it is.

* JSON: ``{"errors": [{"index", "row", "field", "code", "message", "card"}]}``; NDJSON: one such object
  a line. ``card`` is the record where it was JSON, else the card that the row or the document makes.
* CSV: the columns that were sent (a card's fields where none were), and
  ``_index, _row, _field, _code, _message``, which readers drop.
* Markdown, zip: the documents that were sent (those that an export writes of other records), the same five
  among their properties.

What makes no card at all stands where it fails again until it is mended: as text for a card, or as
``metadata`` that is no object.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from backend.core.errors import MalformedBody
from backend.formats.fields import ADDED_COLUMNS, CARD_FIELDS, RawObject, encoded, guarded
from backend.formats.front_matter import split_front_matter
from backend.formats.presets.registry import PRESETS
from backend.formats.registry import to_card
from backend.formats.sources import WRAPPER
from backend.formats.strict_json import check, raw_members
from backend.formats.write_zip import ZipWriter, pack

ErrorsFormat = Literal["json", "ndjson", "csv", "markdown", "zip"]
Failure = tuple[int, int | None, str | None, str, str, bytes]
_JSON = ("json", "ndjson")
# Sources whose records are such files' documents: they are given back as they came, to the same kind of file
# only, because an archive's documents go by their paths too.
_DOCUMENTS = {"markdown": ("markdown",), "zip": ("zip", "obsidian")}
_ENTRIES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operation's records came from.

    Attributes:
        name, context: of the source that split the file.
        options: the import's own, so that a card shown has the category that it was meant to have.
    """

    name: str
    context: Mapping[str, Any]
    options: Mapping[str, Any]


def write(format: ErrorsFormat, origin: Origin, errors: Iterable[Failure]) -> Iterator[bytes]:
    """The file, an item in memory at a time.

    Args:
        errors: (index, row, field, code, message, record), in input order.
    """
    errors = ((*error[:5], _unwrapped(error[5])) for error in errors)
    match format:
        case "json":
            yield b'{"errors":['
            mark = b""
            for error in errors:
                yield mark + _entry(origin, error)
                mark = b","
            yield b"]}"
        case "ndjson":
            for error in errors:
                yield _entry(origin, error) + b"\n"
        case "csv":
            yield from _csv(origin, errors)
        case "markdown":
            for error in errors:
                yield _document("markdown", origin, error)[1]
        case "zip":
            yield from _zip(origin, errors)


def _unwrapped(record: bytes) -> bytes:
    """A record that came in such a file, without what was wrapped around it."""
    value = _value(record) if b'"card"' in record else None
    if isinstance(value, dict) and value.keys() >= WRAPPER:
        return raw_members(record)["card"]
    return record


def _entry(origin: Origin, error: Failure) -> bytes:
    index, row, field, code, message, record = error
    head: dict[str, Any] = {"index": index, "row": row, "field": field, "code": code, "message": message}
    if origin.name == "twitter" and origin.context:
        head["context"] = origin.context
    return json.dumps(head).encode()[:-1] + b', "card": ' + _shown(origin, record) + b"}"


def _shown(origin: Origin, record: bytes) -> bytes:
    """The record as JSON on one line: line breaks in JSON are outside of strings, and say nothing."""
    card = None
    if origin.name not in _JSON and not (origin.name in PRESETS and isinstance(_value(record), dict)):
        card = _card(origin, record)
    shown = record if card is None else encoded(card)
    try:
        check(shown)
    except MalformedBody:
        return json.dumps(record.decode("utf-8", "replace")).encode()
    return shown.replace(b"\r", b" ").replace(b"\n", b" ")


def _card(origin: Origin, record: bytes) -> dict[str, Any] | None:
    """The card that a record makes, its metadata as written; ``None`` where it makes none."""
    if origin.name in _JSON:
        mapped: Any = record
    else:
        mapped = to_card(origin.name, origin.context, record, origin.options)
    if isinstance(mapped, bytes):
        value = _value(mapped)
        if not isinstance(value, dict):
            return None
        written = raw_members(mapped).get("metadata", b"")
        if written.startswith(b"{"):
            value["metadata"] = RawObject(written.decode("utf-8", "surrogatepass"))
        return value
    return mapped if isinstance(mapped, dict) else None


def _csv(origin: Origin, errors: Iterable[Failure]) -> Iterator[bytes]:
    header: list[str] = list(origin.context.get("header", ()))
    yield _line([*(header or CARD_FIELDS), *ADDED_COLUMNS])
    for index, row, field, code, message, record in errors:
        value = _value(record) if header else None
        if isinstance(value, list):
            cells = [str(cell) for cell in value]
            # Cells beyond the header stay beyond it, and fail again.
            cells, beyond = cells[: len(header)], cells[len(header) :]
            cells += [""] * (len(header) - len(cells))
        else:
            cells, beyond = _cells(_card(origin, record), record), []
        why = [str(index), "" if row is None else str(row), field or "", code, message]
        yield _line([*cells, *why, *beyond])


def _cells(card: dict[str, Any] | None, record: bytes) -> list[str]:
    if card is None:
        return [_text(record) if name == "metadata" else "" for name in CARD_FIELDS]
    unknown = {name: value for name, value in card.items() if name not in CARD_FIELDS}
    if unknown and isinstance(card.get("metadata", {}), dict):
        card = card | {"metadata": {**card.get("metadata", {}), **unknown}}
    return [_cell(card.get(name)) for name in CARD_FIELDS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if isinstance(value, RawObject) else guarded(value)
    return json.dumps(value)


def _line(cells: list[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", "replace")


def _zip(origin: Origin, errors: Iterable[Failure]) -> Iterator[bytes]:
    archive = ZipWriter(datetime.now(UTC))
    waiting: list[tuple[str, bytes]] = []
    for error in errors:
        waiting.append(_document("zip", origin, error))
        if len(waiting) >= _ENTRIES_AT_ONCE:
            yield archive.add(pack(waiting))
            waiting = []
    yield archive.add(pack(waiting))
    yield from archive.end()


def _document(format: str, origin: Origin, error: Failure) -> tuple[str, bytes]:
    """A path inside of the archive and the document, its last line whole."""
    index, row, field, code, message, record = error
    why = zip(ADDED_COLUMNS, (index, row, field, code, message), strict=True)
    matter = "".join(f"{name}: {json.dumps(value)}\n" for name, value in why)
    path, text = f"{index}.md", None
    if origin.name in _DOCUMENTS[format]:
        value = _value(record)
        if isinstance(value, dict):
            path, value = str(value.get("path", path)), value.get("text")
        text = value if isinstance(value, str) else None
    if text is None:
        text = _own_document(_card(origin, record), record)
    opening = text.removeprefix("\ufeff")
    if split_front_matter(text)[1] == text:
        # A vault's text is read from the line below on, other documents' without one line break.
        gap = "" if origin.name == "obsidian" else "\n"
        document = f"---\n{matter}---\n{gap}{opening}"
    else:
        first, _, rest = opening.partition("\n")
        document = f"{first}\n{matter}{rest}"
    whole = document if document.endswith("\n") else document + "\n"
    return path, whole.encode("utf-8", "replace")


def _own_document(card: dict[str, Any] | None, record: bytes) -> str:
    """A card as an export writes it."""
    if card is None:
        card = {"metadata": _text(record)}
    body = str(card.get("body") or "")
    lines = [
        f"{name if name.isidentifier() else json.dumps(name)}: {_on_a_line(value)}\n"
        for name, value in card.items()
        if name != "body" and value is not None
    ]
    return f"---\n{''.join(lines)}body_bytes: {len(body.encode('utf-8', 'replace'))}\n---\n\n{body}\n"


def _on_a_line(value: Any) -> str:
    if isinstance(value, RawObject):
        return value.replace("\r", " ").replace("\n", " ")
    return json.dumps(value)


def _text(record: bytes) -> str:
    return record.decode("utf-8", "replace")


def _value(record: bytes) -> Any:
    """The record's value; ``None`` where it is no JSON."""
    try:
        return check(record)
    except MalformedBody:
        return None
