"""COPY … TO STDOUT: every row, what PostgreSQL said of an error, and a connection that is usable after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backend.db.copy_binary import HEADER, TRAILER
from backend.db.copy_wire import CopyOut

_NUMBERS = b"COPY (SELECT n FROM generate_series(1, %(upto)s) n) TO STDOUT"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as connected:
        yield connected


@pytest.mark.parametrize("most", [1, 100, 1_000_000])
def test_every_row_comes_once_in_order(connection: psycopg.Connection[Any], most: int) -> None:
    out = CopyOut(connection, _NUMBERS, {"upto": 10_000}, most)
    rows = [int(bytes(row)) for batch in out for row in batch]
    assert rows == list(range(1, 10_001))
    assert out.count == 10_000
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_nothing_is_nothing(connection: psycopg.Connection[Any]) -> None:
    out = CopyOut(connection, _NUMBERS, {"upto": 0}, 100)
    assert list(out) == []
    assert out.count == 0
    binary = CopyOut(connection, b"COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)", {}, 100)
    assert b"".join(row for batch in binary for row in batch) == HEADER + TRAILER


def test_an_error_in_the_middle_is_told_as_postgresql_told_it(connection: psycopg.Connection[Any]) -> None:
    statement = b"COPY (SELECT 1 / (5000 - n) FROM generate_series(1, 9000) n) TO STDOUT"
    with pytest.raises(psycopg.errors.DivisionByZero):
        list(CopyOut(connection, statement, {}, 100))
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_refused_statement_is_told_too(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        list(CopyOut(connection, b"COPY nowhere TO STDOUT", {}, 100))


def test_who_stops_reading_leaves_a_usable_connection(connection: psycopg.Connection[Any]) -> None:
    reading = iter(CopyOut(connection, _NUMBERS, {"upto": 3_000_000}, 100))
    next(reading)
    reading.close()
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_lost_connection_ends_it(connection: psycopg.Connection[Any], database: str) -> None:
    reading = iter(CopyOut(connection, _NUMBERS, {"upto": 30_000_000}, 100))
    next(reading)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        list(reading)
