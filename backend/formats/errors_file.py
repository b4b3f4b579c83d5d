"""The file of failed records: each as it was sent, with why. Importing it after a fix works as it is.

* JSON: ``{"errors": [{"index", "row", "field", "code", "message", "card"}]}``; NDJSON: one such object
  a line.
* CSV: the columns that were sent, and ``_index, _row, _field, _code, _message``; readers drop those.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from backend.formats.base import ItemProblem
from backend.formats.fields import CARD_FIELDS, guarded
from backend.formats.presets.registry import PRESETS
from backend.formats.registry import to_card

Failure = tuple[int, int | None, str | None, str, str, bytes]
_ADDED = ("_index", "_row", "_field", "_code", "_message")


def write(
    format: Literal["json", "ndjson", "csv"],
    source_name: str,
    context: Mapping[str, Any],
    errors: Iterable[Failure],
) -> Iterator[bytes]:
    """The file, an item in memory at a time.

    Args:
        source_name, context: the source that the operation's records came from.
        errors: (index, row, field, code, message, record), in input order.
    """
    if format == "csv":
        yield from _csv(source_name, context, errors)
    elif format == "ndjson":
        for error in errors:
            yield _entry(source_name, context, error) + b"\n"
    else:
        yield b'{"errors":['
        mark = b""
        for error in errors:
            yield mark + _entry(source_name, context, error)
            mark = b","
        yield b"]}"


def _entry(source_name: str, context: Mapping[str, Any], error: Failure) -> bytes:
    index, row, field, code, message, record = error
    head = {"index": index, "row": row, "field": field, "code": code, "message": message}
    return json.dumps(head).encode()[:-1] + b', "card": ' + _card(source_name, context, record) + b"}"


def _card(source_name: str, context: Mapping[str, Any], record: bytes) -> bytes:
    """The record as JSON: as it was sent where that is JSON; a file's row or document as the card it makes,
    because as JSON it is imported without the file's header."""
    if source_name in ("json", "ndjson"):
        try:
            json.loads(record)
        except ValueError:  # a line that is no JSON is shown as text
            return json.dumps(record.decode("utf-8", "replace")).encode()
        return record
    if source_name not in PRESETS:
        card = to_card(source_name, context, record, {})
        if isinstance(card, dict):
            return json.dumps(card).encode()
    return record


def _csv(source_name: str, context: Mapping[str, Any], errors: Iterable[Failure]) -> Iterator[bytes]:
    header: list[str] = list(context.get("header", ())) if source_name not in ("json", "ndjson") else []
    columns = header or list(CARD_FIELDS)
    yield _line([*columns, *_ADDED])
    for index, row, field, code, message, record in errors:
        value = _loads(record)
        if header and isinstance(value, list):
            cells = [str(cell) for cell in value[: len(header)]]
            cells += [""] * (len(header) - len(cells))
        else:
            cells = _cells(source_name, context, record, value)
        yield _line([*cells, str(index), "" if row is None else str(row), field or "", code, message])


def _cells(source_name: str, context: Mapping[str, Any], record: bytes, value: Any) -> list[str]:
    if source_name not in ("json", "ndjson"):
        mapped = to_card(source_name, context, record, {})
        value = None if isinstance(mapped, ItemProblem | bytes) else mapped
    if not isinstance(value, dict):
        return ["", record.decode("utf-8", "replace")] + [""] * (len(CARD_FIELDS) - 2)
    return [_cell(value.get(name)) for name in CARD_FIELDS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return guarded(value) if isinstance(value, str) else json.dumps(value)


def _line(cells: list[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode("utf-8", "replace")


def _loads(record: bytes) -> Any:
    try:
        return json.loads(record)
    except ValueError:
        return None
