"""Files of JSON: one document of cards, or one card a line."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.core.texts import Texts
from backend.formats.base import MIB, Batch, ItemProblem, Limits, Record
from backend.formats.envelope import elements_of
from backend.formats.opening import decoded
from backend.formats.sources import WRAPPER, Source, to_record
from backend.formats.strict_json import check, raw_members, read_value

_LARGEST_DOCUMENT = 64 * MIB
_READ_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


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
        for batch in self.batches(path, encoding, limits):
            yield from map(Record, batch.texts.split(), batch.rows)

    def batches(self, path: Path, encoding: str | None, limits: Limits) -> Iterator[Batch]:
        """Lines are staged as they lie in the file, not one by one."""
        longest, line = limits.max_record_bytes, 1
        with decoded(path, encoding, limits) as stream:
            for data, too_long in _whole_lines(stream, longest):
                lines = data.split(b"\n")
                if not lines[-1]:
                    lines.pop()
                if lines:
                    yield _batch(data, lines, line, longest)
                    line += len(lines)
                if too_long:
                    yield Batch(Texts.of([_too_long(longest)]), [line])
                    line += 1

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


def _whole_lines(stream: BinaryIO, longest: int) -> Iterator[tuple[bytes, bool]]:
    """Bytes up to the end of a line, and whether a line follows that was skipped for its length."""
    left = stream.read(len(_BOM)).removeprefix(_BOM)
    while data := stream.read(_READ_BYTES):
        data = left + data
        end = data.rfind(b"\n") + 1
        left = data[end:]
        too_long = len(left) > longest
        if too_long:
            left = b""
            while rest := stream.readline(_READ_BYTES):
                if rest.endswith(b"\n"):
                    break
        yield data[:end], too_long
    yield left, False  # the last line, or all of a small file


def _batch(data: bytes, lines: list[bytes], first: int, longest: int) -> Batch:
    """The lines of the data without white space around them, and without empty ones.

    Args:
        first: the number of the first one.
    """
    raws = [line.strip(_SPACE) for line in lines]  # the same objects, where there is nothing to strip
    lengths = list(map(len, lines))
    rows = range(first, first + len(lines))
    if raws == lines and min(lengths) > 0 and max(lengths) <= longest:
        return Batch(Texts(memoryview(data)[: sum(lengths) + len(lengths) - 1], lengths), rows)
    kept = [
        (_too_long(longest) if size > longest else raw, row)
        for raw, size, row in zip(raws, lengths, rows, strict=True)
        if raw or size > longest
    ]
    return Batch(Texts.of([raw for raw, _ in kept]), [row for _, row in kept])


def _too_long(longest: int) -> bytes:
    return to_record({"unreadable": f"The line is longer than {longest:,} bytes"}, None).raw


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
