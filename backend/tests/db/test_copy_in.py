"""COPY … FROM STDIN: every row in so many statements, what PostgreSQL said, a usable connection after."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from backend.db.copy_binary import fields, integer, text
from backend.db.copy_wire import copy_rows

_COPY = "COPY numbers (n, word) FROM STDIN (FORMAT binary)"
# A statement does not end while somebody else has the lock.
_SLOW = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;
    CREATE TRIGGER slow AFTER INSERT ON numbers FOR EACH STATEMENT EXECUTE FUNCTION slow()
"""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as connected:
        connected.execute("CREATE TABLE numbers (n int PRIMARY KEY, word text NOT NULL)")
        connected.commit()
        yield connected
        connected.rollback()
        connected.execute("DROP TABLE numbers")


def row(n: int, word: str | None = "word") -> bytes:
    return fields(2) + integer(n) + text(word)


def batches(*sizes: int) -> list[list[bytes]]:
    numbers = iter(range(sum(sizes)))
    return [[row(next(numbers)) for _ in range(size)] for size in sizes]


def found(connection: psycopg.Connection[Any]) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]


def statements(connection: psycopg.Connection[Any]) -> int:
    """How many statements that changed the table there were, by the command counter in its rows."""
    answer = connection.execute("SELECT count(DISTINCT cmin::text::int) FROM numbers").fetchone()
    assert answer is not None
    return int(answer[0])


@pytest.mark.parametrize(
    ("sizes", "size", "together", "expected"),
    [
        ((3, 4, 5), 1, 1, 3),
        ((3, 4, 5), 1, 3, 3),
        ((3, 4, 5), 1, 2, 3),  # one statement too many gets no rows
        ((3, 4, 5), 2, 2, 2),
        ((3, 4, 5), 2, 7, 2),
        ((3, 4, 5), 9, 1, 1),
        ((0, 4, 0), 1, 3, 1),
        ((5_000, 1, 5_000), 1, 3, 3),
    ],
)
def test_every_row_comes_in_so_many_statements(
    connection: psycopg.Connection[Any], sizes: Sequence[int], size: int, together: int, expected: int
) -> None:
    copy_rows(connection, _COPY, batches(*sizes), size=size, together=together)
    assert found(connection) == list(range(sum(sizes)))
    assert statements(connection) == expected


@pytest.mark.parametrize("together", [1, 2])
def test_all_of_it_is_one_transaction(connection: psycopg.Connection[Any], together: int) -> None:
    """Also where it is the first thing that happens in it."""
    copy_rows(connection, _COPY, batches(1, 1), together=together)
    connection.rollback()
    assert found(connection) == []


def test_no_rows_are_no_statement(connection: psycopg.Connection[Any]) -> None:
    copy_rows(connection, _COPY, [], together=3)
    assert found(connection) == []


def test_rows_larger_than_every_buffer_come_whole(connection: psycopg.Connection[Any]) -> None:
    words = ["ä" * 5_000_000, "", "z" * 3_000_000]
    copy_rows(connection, _COPY, [[row(n, word)] for n, word in enumerate(words)], together=3)
    assert [word for (word,) in connection.execute("SELECT word FROM numbers ORDER BY n")] == words


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_rows_are_made_while_postgresql_stores_those_before(
    connection: psycopg.Connection[Any], database: str, size: int, together: int
) -> None:
    """The first statement ends only when the last batch of the second one is being made."""
    connection.execute(_SLOW)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(4711)")

        def coming() -> Iterator[list[bytes]]:
            for n in range(3 * size):
                if n == 2 * size - 1:
                    other.execute("SELECT pg_advisory_unlock(4711)")
                yield [row(n)]

        copy_rows(connection, _COPY, coming(), size=size, together=together)
    assert found(connection) == list(range(3 * size))


@pytest.mark.parametrize("bad", [0, 1, 2, 3])
@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_refusal_is_told_as_postgresql_told_it(
    connection: psycopg.Connection[Any], bad: int, together: int, size: int
) -> None:
    rows = [[row(n, None if n == bad else "word")] for n in range(4)]
    connection.execute("SAVEPOINT before")
    with pytest.raises(psycopg.errors.NotNullViolation):
        copy_rows(connection, _COPY, rows, size=size, together=together)
    connection.execute("ROLLBACK TO SAVEPOINT before")
    copy_rows(connection, _COPY, batches(2), together=together)
    assert found(connection) == [0, 1]


def test_a_refusal_ends_it_while_much_more_is_sent(connection: psycopg.Connection[Any]) -> None:
    rows = [[row(1), row(1)], *([row(n, "x" * 100_000)] * 20 for n in range(2, 10))]
    with pytest.raises(psycopg.errors.UniqueViolation):
        copy_rows(connection, _COPY, rows, size=len(rows))
    connection.rollback()
    assert found(connection) == []


def test_a_refused_statement_is_told_too(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        copy_rows(connection, "COPY nowhere FROM STDIN (FORMAT binary)", batches(1), together=2)
    connection.rollback()
    assert found(connection) == []


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("together", [1, 5])
@pytest.mark.parametrize("size", [1, 2])
def test_who_cannot_make_the_rows_leaves_a_usable_connection(
    connection: psycopg.Connection[Any], after: int, together: int, size: int
) -> None:
    def coming() -> Iterator[list[bytes]]:
        for n in range(after):
            yield [row(n)]
        raise LookupError

    connection.execute("SAVEPOINT before")
    with pytest.raises(LookupError):
        copy_rows(connection, _COPY, coming(), size=size, together=together)
    connection.execute("ROLLBACK TO SAVEPOINT before")
    assert found(connection) == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_lost_connection_ends_it(connection: psycopg.Connection[Any], database: str, after: int) -> None:
    with psycopg.connect(database, autocommit=True) as other, psycopg.connect(database) as lost:

        def coming() -> Iterator[list[bytes]]:
            for n in range(100):
                if n == after:
                    other.execute("SELECT pg_terminate_backend(%s, 5000)", [lost.info.backend_pid])
                yield [row(n, "x" * 100_000)]

        with pytest.raises(psycopg.OperationalError):
            copy_rows(lost, _COPY, coming())
        assert lost.closed
    assert found(connection) == []


def test_a_cancelled_statement_is_told(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_SLOW.replace("pg_advisory_xact_lock(4711)", "pg_sleep(60)"))
    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        copy_rows(connection, _COPY, batches(1, 1), together=2)
    timer.join()
    connection.rollback()
    assert found(connection) == []
