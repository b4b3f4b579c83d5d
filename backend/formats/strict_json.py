"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it: no duplicate names, no BOM, no NaN, no 1e999.

The fast path lets C code do the work. Whatever it objects to is looked at again by the exact scanner,
which knows where it is, and which splits what C code cannot: cards with lone surrogate escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from backend.core.errors import FieldError, ValidationFailed
from backend.formats.json_scanner import MAX_DEPTH, Scanner, refuse

_BOM = b"\xef\xbb\xbf"
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Envelope:
    """A body taken apart.

    Attributes:
        fields: every member but the cards, decoded; the cards too where they are not an array.
        cards: the bytes of each element, as sent; ``None`` when there is no array of them.
    """

    fields: dict[str, Any]
    cards: list[bytes] | None


class _Suspicious(Exception):
    """Something the exact scanner must look at."""


def parse_envelope(body: bytes, *, cards_key: str | None = "cards") -> Envelope:
    """Take a request body apart, strictly.

    Args:
        cards_key: the member whose elements stay bytes; ``errors`` (an errors file sent back) is taken in
            its place when it is missing. ``None``: decode everything.

    Raises:
        MalformedBody: not JSON, with line and column (1-based, in characters).
        ValidationFailed: JSON, and not an object.
    """
    try:
        value = _checked(body)
    except _Suspicious:
        value = None
    if value is None:  # refused, or null: the scanner tells which
        scanner = Scanner(_decoded(body))
        value = scanner.value()
    if not isinstance(value, dict):
        raise ValidationFailed(
            "Request body must be a JSON object", errors=(FieldError("", "must be an object"),)
        )
    if cards_key is None:
        return Envelope(value, None)
    name = cards_key if cards_key in value or "errors" not in value else "errors"
    if not isinstance(value.get(name), list):
        return Envelope(value, None)
    fields = {key: member for key, member in value.items() if key != name}
    return Envelope(fields, _elements(body, name))


def read_value(raw: bytes) -> Any:
    """One JSON text, as strictly.

    Raises:
        MalformedBody: with line and column.
    """
    try:
        return _checked(raw)
    except _Suspicious:
        return Scanner(_decoded(raw)).value()


def _checked(body: bytes) -> Any:
    """The value, if C code finds nothing wrong with it."""
    if body.startswith(_BOM):
        raise _Suspicious
    try:
        value = _loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Suspicious from None
    if _is_deeper(value, MAX_DEPTH):
        raise _Suspicious
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Suspicious
    return made


def _constant(_: str) -> Any:
    raise _Suspicious


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Suspicious
    return number


_loads = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float).decode


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether arrays and objects nest deeper than ``levels``; one generation at a time, no recursion."""
    generation: Iterable[Any] = [value]
    while levels >= 0:
        generation = (
            [
                child
                for one in generation
                if isinstance(one, dict | list)
                for child in (one.values() if isinstance(one, dict) else one)
                if isinstance(child, dict | list)
            ]
            if levels
            else generation
        )
        if not generation:
            return False
        levels -= 1
    return True


def _elements(body: bytes, name: str) -> list[bytes]:
    """The bytes of each element of a member that is an array."""
    try:
        return [bytes(one) for one in _raw_elements(_raw_members(body)[name])]
    except msgspec.MsgspecError:
        return Scanner(_decoded(body)).elements(name)


def _decoded(body: bytes) -> str:
    if body.startswith(_BOM):
        raise refuse("starts with a byte order mark", "", 0)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        raise refuse("is not UTF-8", before, len(before)) from None


def elements_of(body: bytes) -> list[bytes] | None:
    """The cards of a document: an array, or an object with one under ``cards`` or ``errors``.

    Raises:
        MalformedBody: not JSON.
    """
    value = read_value(body)
    if isinstance(value, list):
        try:
            return [bytes(one) for one in _raw_elements(body)]
        except msgspec.MsgspecError:
            return Scanner('{"cards":' + _decoded(body) + "}").elements("cards")
    return parse_envelope(body).cards if isinstance(value, dict) else None
