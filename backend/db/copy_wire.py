"""``COPY`` as libpq speaks it: rows sent while others are stored, rows taken without being parsed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from backend.db.copy_binary import HEADER, TRAILER

_PIECE_BYTES = 1024 * 1024
_GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


def copy_rows(
    connection: psycopg.Connection[Any],
    statement: str,
    batches: Iterable[Sequence[bytes]],
    *,
    size: int = 1,
    together: int = 1,
    around: tuple[str, str] | None = None,
) -> None:
    """Send encoded rows through ``COPY … FROM STDIN (FORMAT binary)`` as they come, in several statements.

    All in the connection's transaction. PostgreSQL stores the rows of one statement while those of the next
    one are being made. In a single one it would keep up to 1,000 rows until it stores the first of them:
    it does so after 64 KiB as well, but counts the bytes of text formats only (``CopyFrom`` adds up
    ``line_buf.len``, which stays 0 in binary).

    Args:
        size: batches per statement.
        together: statements sent at a time, which saves a round trip for each but the first. Best all of
            them, where it is known how many there are.
        around: queries that are sent with them, one to run before and one after; what they find is not asked.

    Raises:
        psycopg.Error: what PostgreSQL says. Rows of earlier statements are there: roll back to a savepoint.
    """
    if connection.pgconn.transaction_status == TransactionStatus.IDLE:
        connection.execute("SELECT 1")  # psycopg begins the transaction; libpq would not
    copying = _CopyIn(connection, statement, together, around)
    try:
        for number, rows in enumerate(batches, 1):
            copying.send(b"".join(rows))
            if number % size == 0:
                copying.end()
        copying.finish()
    except BaseException:
        copying.give_up()
        raise


class _CopyIn:
    """One statement after another; nobody waits for the end of one before much waits to be sent."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        statement: str,
        together: int,
        around: tuple[str, str] | None,
    ) -> None:
        self._connection = connection
        statements = [statement] * together
        if around is not None:
            statements = [around[0], *statements, around[1]]
        self._query, self._together = ";".join(statements).encode(), together
        self._around = around is not None
        self._left = 0  # statements of the query under way that were not ended
        self._open = self._under_way = False
        self._waiting: list[bytes] = []

    def send(self, rows: bytes) -> None:
        """Rows for the next statement, or more for the one that is open."""
        self._waiting.append(rows)
        if self._open or not self._busy():
            self._put()

    def end(self) -> None:
        """No more rows for this statement."""
        if self._open or self._waiting:
            self._waiting.append(TRAILER)
            self._put(last=True)
            self._open, self._left = False, self._left - 1

    def finish(self) -> None:
        """Until PostgreSQL has taken all rows that were sent. Raises why it has not."""
        self.end()
        while self._left:
            self.send(b"")
            self.end()
        self._finish_query()

    def give_up(self) -> None:
        """After an error: hear what PostgreSQL has to say, so that the connection can roll back."""
        if self._under_way:
            with suppress(psycopg.Error):
                self._connection.wait(_refused(self._connection.pgconn))

    def _busy(self) -> bool:
        """Whether PostgreSQL has not yet taken the rows of the statement before."""
        pgconn = self._connection.pgconn
        if not self._under_way:
            return False
        pgconn.consume_input()
        return pgconn.is_busy() != 0

    def _put(self, *, last: bool = False) -> None:
        if not self._open:
            self._begin()
            self._waiting.insert(0, HEADER)
        self._connection.wait(_put(self._connection.pgconn, b"".join(self._waiting), last))
        self._waiting.clear()

    def _begin(self) -> None:
        wait, pgconn = self._connection.wait, self._connection.pgconn
        if self._left:
            wait(_expected(pgconn, ExecStatus.COMMAND_OK))
        else:
            self._finish_query()
            pgconn.send_query(self._query)
            self._under_way, self._left = True, self._together
            if self._around:
                wait(_expected(pgconn, ExecStatus.TUPLES_OK))
        wait(_expected(pgconn, ExecStatus.COPY_IN))
        self._open = True

    def _finish_query(self) -> None:
        if self._under_way:
            self._connection.wait(_result(self._connection.pgconn))
            self._under_way = False


def _put(pgconn: PGconn, data: bytes, last: bool) -> Generator[Wait, Ready | int, None]:
    """Send data of the open statement, as fast as the socket takes it: libpq's buffer grows to what waits.

    Where it is the last, say so, without waiting for what comes of it.
    """
    try:
        for start in range(0, len(data), _PIECE_BYTES):
            pgconn.put_copy_data(data[start : start + _PIECE_BYTES])
            yield from _flush(pgconn)
        if last:
            pgconn.put_copy_end()
            yield from _flush(pgconn)
    except psycopg.OperationalError:
        yield from _result(pgconn)  # PostgreSQL has ended it already, and says why
        raise


def _expected(pgconn: PGconn, status: ExecStatus) -> Generator[Wait, Ready | int, None]:
    """The next result, which must be of that status."""
    yield from _flush(pgconn)
    result = yield from _next(pgconn)
    if result is None or result.status != status:
        yield from _result(pgconn, result)
        raise psycopg.OperationalError("COPY ended early")


def _refused(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    """End all statements of the query, those that have not begun included."""
    while (result := (yield from _next(pgconn))) is not None:
        if result.status == ExecStatus.COPY_IN:
            pgconn.put_copy_end(b"given up")
            yield from _flush(pgconn)


def _flush(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    while pgconn.flush():
        ready: Ready | int = 0
        while not ready:
            ready = yield Wait.RW
        if ready & Ready.R:
            pgconn.consume_input()


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


def _result(pgconn: PGconn, found: PGresult | None = None) -> Generator[Wait, Ready | int, PGresult]:
    """How the statement ended. Raises what PostgreSQL said when it did not end well."""
    while (result := (yield from _next(pgconn))) is not None:
        found = result
        if result.status == ExecStatus.COPY_IN:  # it has not: libpq would say so for ever
            break
    if found is None or found.status == ExecStatus.COPY_IN:
        raise psycopg.OperationalError("COPY ended early")
    if found.status not in _GOOD:
        raise error_from_result(found)
    return found


def _next(pgconn: PGconn) -> Generator[Wait, Ready | int, PGresult | None]:
    """The query's next result, ``None`` when it is over."""
    while pgconn.is_busy():
        yield from _more(pgconn)
    return pgconn.get_result()


def _more(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    while not (yield Wait.R):
        continue
    pgconn.consume_input()
