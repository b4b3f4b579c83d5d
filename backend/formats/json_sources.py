"""Files of JSON: one document of cards, or one card a line."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.base import MIB, ItemProblem, Limits, Record
from backend.formats.opening import decoded
from backend.formats.sources import WRAPPER, Source, to_record
from backend.formats.strict_json import check, elements_of, raw_members, read_value

_LARGEST_DOCUMENT = 64 * MIB
_SKIPPED_AT_ONCE = 65_536
_BOM = b"\xef\xbb\xbf"


def unwrapped(raw: bytes) -> bytes | ItemProblem:
    """A record that is a card, or wraps one as an errors file does, as the bytes of the card.

    Strict: what RFC 8259 forbids is this record's problem, with its column.
    """
    try:
        value = check(raw)
    except MalformedBody as error:
        where = error.detail.partition("JSON: ")[2]
        return ItemProblem("unreadable_row", f"is not valid JSON: {where}")
    if isinstance(value, dict) and value.keys() >= WRAPPER:
        return raw_members(raw)["card"]
    return raw


class NdjsonSource(Source):
    """A record is a line, exactly as it was sent."""

    name = "ndjson"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        longest = limits.max_record_bytes
        with decoded(path, encoding, limits) as stream:
            line = 0
            while raw := stream.readline(longest + 1):
                line += 1
                if line == 1 and raw.startswith(_BOM):
                    raw = raw[len(_BOM) :]
                if len(raw) > longest and not raw.endswith(b"\n"):
                    while rest := stream.readline(_SKIPPED_AT_ONCE):
                        if rest.endswith(b"\n"):
                            break
                    yield to_record({"unreadable": f"The line is longer than {longest:,} bytes"}, line)
                    continue
                raw = raw.strip(b" \t\r\n")
                if raw:
                    yield Record(raw, line)

    @classmethod
    def to_card(
        cls, context: Mapping[str, Any], raw: bytes, options: Mapping[str, Any]
    ) -> bytes | ItemProblem:
        if raw.startswith(b'{"unreadable":'):
            value = read_value(raw)
            if value.keys() == {"unreadable"} and isinstance(value["unreadable"], str):
                return ItemProblem("unreadable_row", value["unreadable"])
        return unwrapped(raw)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        return record if isinstance(record, dict) else None


class JsonSource(Source):
    """A record is an element of the document's ``cards`` (or of the document, where it is an array)."""

    name = "json"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with decoded(path, encoding, limits) as stream:
            body = stream.read(_LARGEST_DOCUMENT + 1)
        if len(body) > _LARGEST_DOCUMENT:
            raise PayloadTooLarge("A JSON document may have 64 MiB; send more cards as NDJSON")
        found = elements_of(body)
        if found is None:
            raise MalformedBody("The document holds no array of cards")
        for raw in found:
            yield Record(raw, None)

    @classmethod
    def to_card(
        cls, context: Mapping[str, Any], raw: bytes, options: Mapping[str, Any]
    ) -> bytes | ItemProblem:
        return unwrapped(raw)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        return record if isinstance(record, dict) else None
