"""What goes in and out of a source."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

MIB = 1024 * 1024


class Record(Struct, frozen=True, gc=False):
    """One record of a file as it is staged: JSON in its source's own shape, and the line or place it had.

    There may be a million of them: a struct of msgspec is made in a fifth of a dataclass's time.
    """

    raw: bytes
    row: int | None


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
