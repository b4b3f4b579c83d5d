"""The pool, and ``unit_of_work()``: the only place that commits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg

# The engine would load it when it is made, in every child of a worker: before the fork they share it.
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine, create_engine, event, exc, text

from backend.core.errors import Unavailable
from backend.core.settings import Settings, get_settings
from backend.db import tenants

_PROBE_STATEMENT_SECONDS = 5
_lock = threading.Lock()
_engine: Engine | None = None
_probe_engine: Engine | None = None


def make_engine(settings: Settings, *, statement_timeout_seconds: int, application: str) -> Engine:
    """An engine whose every wait is bounded: connecting, the pool, locks, statements, idling."""
    milliseconds = 1000
    options = " ".join(
        (
            f"-c statement_timeout={statement_timeout_seconds * milliseconds}",
            f"-c lock_timeout={settings.db_lock_timeout_seconds * milliseconds}",
            "-c idle_in_transaction_session_timeout="
            f"{settings.db_idle_in_transaction_timeout_seconds * milliseconds}",
            "-c timezone=UTC",
        )
    )
    engine = create_engine(
        settings.sqlalchemy_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_overflow,
        pool_timeout=settings.db_pool_timeout_seconds,
        pool_pre_ping=False,  # a broken connection shows itself below, without a round trip per request
        pool_use_lifo=True,
        hide_parameters=True,  # an error's text reaches logs: no card, no key's hash in it
        connect_args={
            "connect_timeout": settings.db_connect_timeout_seconds,
            "options": options,
            "application_name": application,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: psycopg.Connection[Any], _: object) -> None:
        connection.prepare_threshold = 3

    return engine


def configure(*, statement_timeout_seconds: int | None = None, application: str = "extrophi") -> Engine:
    """Make this process's engine. Call it after a fork, never before."""
    global _engine, _probe_engine
    settings = get_settings()
    with _lock:
        for engine in (_engine, _probe_engine):
            if engine is not None:
                engine.dispose(close=False)
        _probe_engine = None
        _engine = make_engine(
            settings,
            statement_timeout_seconds=statement_timeout_seconds or settings.db_statement_timeout_seconds,
            application=application,
        )
        return _engine


def get_engine() -> Engine:
    """This process's engine, made on first use."""
    return _engine if _engine is not None else configure()


def dispose() -> None:
    """Close every pooled connection and forget the engine."""
    global _engine, _probe_engine
    with _lock:
        for engine in (_engine, _probe_engine):
            if engine is not None:
                engine.dispose()
        _engine = _probe_engine = None


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help: lost connections, deadlocks, serialization, timeouts, shutdown.

    SQLSTATE classes: 08 connection, 40 rollback, 53 resources, 55 lock not available, 57 operator
    intervention, 58 system error.
    """
    if isinstance(error, Unavailable):
        return True
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, psycopg.errors.QueryCanceled):
        return True
    if isinstance(original, psycopg.Error):
        if original.sqlstate is None:
            return isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)
        return original.sqlstate[:2] in {"08", "40", "53", "55", "57", "58", "25"} and (
            original.sqlstate[:2] != "25" or original.sqlstate == "25P03"
        )
    return isinstance(error, exc.TimeoutError | ConnectionError | TimeoutError)


def is_down(error: BaseException) -> bool:
    """Whether PostgreSQL cannot be reached at all: the API answers 503 then."""
    if isinstance(error, exc.TimeoutError):
        return True
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(original, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return original.sqlstate is None or original.sqlstate[:2] in {"08", "53", "57"}


def connection_lost(error: BaseException) -> bool:
    """Whether PostgreSQL went away in the middle, which is nobody's fault who was using it."""
    if isinstance(error, Unavailable) and error.__cause__ is not None:
        error = error.__cause__
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if not isinstance(original, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = original.sqlstate
    return state is None or state[:2] == "08" or state in {"57P01", "57P02", "57P03"}


def load_libraries() -> None:
    """Connect once, if PostgreSQL is there: what that loads, 3 MB, is shared by whom this process forks."""
    with suppress(psycopg.Error):
        psycopg.connect(get_settings().libpq_url, connect_timeout=2).close()


@contextmanager
def unit_of_work(owner: UUID | None = None) -> Iterator[Connection]:
    """One transaction: committed on leaving, rolled back on any exception.

    Args:
        owner: the user on whose behalf the rows are touched. PostgreSQL then shows and changes this user's
            rows only (row-level security, see ``backend.db.tenants``), and refuses ``COPY … FROM``: units
            that stage or import with COPY, and those that see all owners, leave it out.

    Raises:
        Unavailable: when PostgreSQL cannot be reached. Nothing was committed, unless the connection was
            lost during the commit itself, which the caller must treat as unknown.
    """
    with _available(), get_engine().begin() as connection:
        if owner is not None:
            tenants.enter(connection, driver(connection), owner)
        yield connection


def read_as(owner: UUID, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of one SELECT, by column, in a unit of work of the owner's, all of it in one round trip.

    Args:
        statement: with psycopg's placeholders, ``%(name)s``; values are quoted here, not sent beside it.

    Raises:
        Unavailable: when PostgreSQL cannot be reached.
    """
    with _available(), autocommit() as connection:
        cursor = psycopg.ClientCursor(driver(connection), row_factory=dict_row)
        unit = f"BEGIN READ ONLY; {tenants.choosing(connection, owner)}; {statement}; COMMIT"
        try:
            cursor.execute(unit.encode(), values)
        except psycopg.OperationalError:
            if driver(connection).closed:  # SQLAlchemy finds out, and drops a broken pool
                connection.exec_driver_sql("SELECT 1")
            raise
        cursor.nextset()
        cursor.nextset()
        return cursor.fetchall()


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError, psycopg.Error) as error:
        if is_down(error):
            raise Unavailable("The database is not available. Try again shortly.") from error
        raise


@contextmanager
def autocommit() -> Iterator[Connection]:
    """A connection on which each statement is its own transaction: attempt counters, probes."""
    with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection below, for COPY. It shares the transaction."""
    raw: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return raw


def execute(
    connection: Connection, statement: str, values: Mapping[str, Any], *, binary: bool = False
) -> psycopg.Cursor[Any]:
    """Run a statement on a cursor that this connection keeps, in half of the time that SQLAlchemy takes.

    For what every part needs. Read the rows before the next statement.

    Args:
        statement: with psycopg's placeholders, ``%(name)s``.
        binary: whether values come in PostgreSQL's binary formats.
    """
    cursors: dict[bool, psycopg.Cursor[Any]] = connection.info.setdefault("cursors", {})
    if binary not in cursors:
        cursors[binary] = driver(connection).cursor(binary=binary)
    return cursors[binary].execute(statement.encode(), values)


@contextmanager
def aside() -> Iterator[Connection]:
    """An autocommit connection beside the pool, for probes: they do not wait behind those who work."""
    global _probe_engine
    with _lock:
        if _probe_engine is None:
            two = get_settings().model_copy(update={"db_pool_size": 2, "db_pool_overflow": 0})
            _probe_engine = make_engine(
                two, statement_timeout_seconds=_PROBE_STATEMENT_SECONDS, application="extrophi probe"
            )
        engine = _probe_engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def ping() -> None:
    """One round trip beside the pool. Raises whatever PostgreSQL raises."""
    with aside() as connection:
        connection.execute(text("SELECT 1"))
