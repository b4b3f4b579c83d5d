"""One moment of one owner's cards, for as many connections as read it.

Read-only, REPEATABLE READ, under the owner's row-level security where the installation has it. Its waits
are bounded by the longest time a task may run, not by the short time-outs of other work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, exc

from backend.cards.watermark import READ, Watermark, taken
from backend.core.errors import Unavailable
from backend.core.settings import get_settings
from backend.db import tenants
from backend.db.session import driver, get_engine, is_down

# As tenants.enter, for a transaction that has begun already. SET ROLE has a privilege of its own since 16.
_ADOPT = f"""
    SELECT set_config('{tenants.OWNER}', %(owner)s, true), set_config('role', '{tenants.ROLE}', true)
    WHERE pg_has_role(to_regrole('{tenants.ROLE}'),
        CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
"""


@dataclass(slots=True)
class Reader:
    """A connection inside the snapshot."""

    owner: UUID
    connection: psycopg.Connection[Any]


@dataclass(slots=True)
class Snapshot(Reader):
    """The connection that took it. ``watermark`` is what it has seen."""

    watermark: Watermark
    _name: str | None = None

    def export(self) -> str:
        """The name under which further connections join it, while this one stays in it."""
        if self._name is None:
            row = self.connection.execute("SELECT pg_export_snapshot()").fetchone()
            self._name = str(row[0]) if row else None
        return str(self._name)


@contextmanager
def take(owner: UUID) -> Iterator[Snapshot]:
    """A fresh snapshot; over when left.

    Raises:
        Unavailable: PostgreSQL does not answer.
    """
    with _reading(None) as connection:
        raw = driver(connection)
        row = raw.execute(READ).fetchone()
        if row is None:
            raise Unavailable("The database is not available. Try again shortly.")
        raw.execute(_ADOPT, {"owner": str(owner)})
        yield Snapshot(owner, raw, taken(*row))


@contextmanager
def join(name: str, owner: UUID) -> Iterator[Reader]:
    """A further connection inside an exported snapshot."""
    with _reading(name) as connection:
        raw = driver(connection)
        raw.execute(_ADOPT, {"owner": str(owner)})
        yield Reader(owner, raw)


@contextmanager
def _reading(name: str | None) -> Iterator[Connection]:
    milliseconds = get_settings().task_time_limit_seconds * 1000
    try:
        with get_engine().connect() as connection:
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            if name is not None:  # must come before anything that reads
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{name}'")
            connection.exec_driver_sql(
                f"SET LOCAL statement_timeout = {milliseconds}; "
                f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
            )
            yield connection
    except (exc.DBAPIError, exc.TimeoutError, psycopg.Error) as error:
        if is_down(error):
            raise Unavailable("The database is not available. Try again shortly.") from error
        raise
