"""Rows for ``COPY … FROM STDIN (FORMAT binary)``, encoded by hand.

PostgreSQL's binary formats (documentation, "COPY", "Binary Format", and the types' send functions):
a row is its field count (int16), then per field its length (int32, -1 for null) and its bytes; all
big-endian. Encoding whole rows here is several times faster than adapting value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
JSONB_VERSION = b"\x01"  # a jsonb field is this byte, then its JSON text
NULL = b"\xff\xff\xff\xff"
TRUE = b"\x00\x00\x00\x01\x01"
FALSE = b"\x00\x00\x00\x01\x00"
_TEXT_OID = (25).to_bytes(4, "big")
EMPTY_TEXT_ARRAY = b"\x00\x00\x00\x0c" + bytes(8) + _TEXT_OID  # no dimensions
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTHS = [length.to_bytes(4, "big") for length in range(4096)]


def length(size: int) -> bytes:
    """A field's length word."""
    return _LENGTHS[size] if size < 4096 else size.to_bytes(4, "big")


def fields(count: int) -> bytes:
    """A row's field count."""
    return count.to_bytes(2, "big")


def raw(value: bytes) -> bytes:
    """A field whose bytes are ready: uuid, bytea, text in UTF-8."""
    return length(len(value)) + value


def integer(value: int) -> bytes:
    """An int4 field."""
    return b"\x00\x00\x00\x04" + value.to_bytes(4, "big", signed=True)


def text(value: str | None) -> bytes:
    """A text field."""
    if value is None:
        return NULL
    data = value.encode()
    return length(len(data)) + data


def timestamptz(value: datetime | None) -> bytes:
    """A timestamptz field: microseconds since 2000-01-01 UTC."""
    if value is None:
        return NULL
    return b"\x00\x00\x00\x08" + ((value - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)


def text_array(items: Sequence[bytes]) -> bytes:
    """A one-dimensional text[] field of encoded text fields."""
    if not items:
        return EMPTY_TEXT_ARRAY
    body = b"".join(
        (b"\x00\x00\x00\x01\x00\x00\x00\x00", _TEXT_OID, length(len(items)), b"\x00\x00\x00\x01", *items)
    )
    return length(len(body)) + body
