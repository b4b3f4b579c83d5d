"""Rows for ``COPY … FROM STDIN (FORMAT binary)``, encoded by hand; rows of ``COPY … TO STDOUT``, unparsed.

PostgreSQL's binary formats (documentation, "COPY", "Binary Format", and the types' send functions):
a row is its field count (int16), then per field its length (int32, -1 for null) and its bytes; all
big-endian. Encoding whole rows here is several times faster than adapting value by value.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
TRUE = b"\x00\x00\x00\x01\x01"
FALSE = b"\x00\x00\x00\x01\x00"
_TEXT_OID = (25).to_bytes(4, "big")
EMPTY_TEXT_ARRAY = b"\x00\x00\x00\x0c" + bytes(8) + _TEXT_OID  # no dimensions
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CHUNK_BYTES = 64 * 1024
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


def jsonb(value: bytes) -> bytes:
    """A jsonb field from its JSON text (version byte 1)."""
    return length(len(value) + 1) + b"\x01" + value


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


def copy_rows(connection: psycopg.Connection[Any], statement: str, rows: Iterable[bytes]) -> None:
    """Send encoded rows, some in each piece, through ``COPY … FROM STDIN (FORMAT binary)`` as they come.

    What is sent waits in the socket: PostgreSQL stores the first rows while the next ones are being made.
    """
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        waiting, size = [HEADER], 0
        for some in rows:
            waiting.append(some)
            size += len(some)
            if size >= _CHUNK_BYTES:
                copy.write(b"".join(waiting))
                waiting, size = [], 0
        waiting.append(TRAILER)
        copy.write(b"".join(waiting))


class CopyOut:
    """The messages of ``COPY … TO STDOUT``, one a row, about ``most`` bytes of them at a time.

    psycopg's own loop goes through three generators for every row. This one asks libpq, in half the time.
    ``count`` is the number of rows, once all were read.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], statement: bytes, values: Mapping[str, Any], most: int
    ) -> None:
        self._connection, self._statement, self._values = connection, statement, values
        self._most = most
        self.count = 0

    def __iter__(self) -> Iterator[list[memoryview]]:
        with self._connection.cursor() as cursor, cursor.copy(self._statement, self._values):
            result: PGresult | None = None
            while result is None:
                rows, result = self._connection.wait(_next_rows(self._connection.pgconn, self._most))
                if rows:
                    yield rows
            self.count = result.command_tuples or 0


def _next_rows(
    pgconn: PGconn, most: int
) -> Generator[Wait, Ready | int, tuple[list[memoryview], PGresult | None]]:
    """Rows, and the statement's result where these are the last ones. Yields to wait for the socket."""
    rows: list[memoryview] = []
    size = 0
    take, add = pgconn.get_copy_data, rows.append
    while size < most:
        length, data = take(1)
        if length > 0:
            add(data)
            size += length
        elif length == 0:
            yield from _more(pgconn)
        else:
            return rows, (yield from _result(pgconn))
    return rows, None


def _result(pgconn: PGconn) -> Generator[Wait, Ready | int, PGresult]:
    """How the statement ended. Raises what PostgreSQL said when it did not end well."""
    found: PGresult | None = None
    while True:
        while pgconn.is_busy():
            yield from _more(pgconn)
        result = pgconn.get_result()
        if result is None:
            break
        found = result
    if found is None or found.status != ExecStatus.COMMAND_OK:
        raise psycopg.OperationalError("COPY ended early") if found is None else error_from_result(found)
    return found


def _more(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    while not (yield Wait.R):
        continue
    pgconn.consume_input()
