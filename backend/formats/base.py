"""What goes in and out of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import Struct

from backend.core.texts import Texts

MIB = 1024 * 1024
_BATCH_RECORDS, _BATCH_BYTES = 500, 256 * 1024


class Record(Struct, frozen=True, gc=False):
    """One record of a file as it is staged: JSON in its source's own shape, and the line or place it had.

    There may be a million of them: a struct of msgspec is made in a fifth of a dataclass's time.
    """

    raw: bytes
    row: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records that follow one another, to be staged together. A row is 0 where a record has none."""

    texts: Texts
    rows: Sequence[int]


def batched(records: Iterable[Record]) -> Iterator[Batch]:
    """Records some at a time."""
    raws, rows, size = list[bytes](), list[int](), 0
    for record in records:
        raws.append(record.raw)
        rows.append(record.row or 0)
        size += len(record.raw)
        if len(raws) >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield Batch(Texts.of(raws), rows)
            raws, rows, size = [], [], 0
    if raws:
        yield Batch(Texts.of(raws), rows)


@dataclass(frozen=True, slots=True)
class ItemProblem:
    """Why a record is no card. ``code`` is one of the item error codes; neither text echoes the record."""

    code: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what a file may unfold into. Bytes, entries, and decoded bytes per byte sent after 1 MiB."""

    max_decoded_bytes: int = 8 * 1024 * MIB
    max_ratio: int = 100
    max_entries: int = 1_000_000
    max_record_bytes: int = 4 * MIB
