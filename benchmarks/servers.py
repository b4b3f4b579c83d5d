"""What is measured: a PostgreSQL of our own with the settings of production, or the whole running stack.

Both are embedded ones as ``extrophi up`` starts them: fsync and synchronous_commit on, the settings of
``backend.embedded.tuning``. Nothing of the caller's environment (DATABASE_URL and the like) is used.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from backend.auth import keys, scopes
from backend.db import migrate, session
from backend.embedded.postgres import EmbeddedPostgres
from backend.tests.support.environment import environment
from backend.tests.support.stack import Stack

# The tables that operations fill, the ledger among them.
FILLED = (
    "cards", "card_tombstones", "extropy_ledger", "operations", "operation_parts", "operation_part_attempts",
    "operation_item_errors", "idempotency_keys", "owner_turns",
)  # fmt: skip
# What the report says of PostgreSQL.
SHOWN_SETTINGS = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers",
    "work_mem", "max_wal_size", "checkpoint_timeout", "autovacuum", "jit",
)  # fmt: skip
# Limits are counted as in production, but nobody reaches them.
ROOMY = {
    "RATE_LIMIT_REQUESTS_PER_MINUTE": "100000000",
    "RATE_LIMIT_OPERATIONS_PER_MINUTE": "1000000",
    "QUOTA_CARDS_PER_HOUR": "1000000000",
}


class Database:
    """A migrated database, as its superuser."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection of its own; ``options`` are psycopg's."""
        return psycopg.connect(self.url, **options)

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row."""
        with self.connect() as connection:
            row = connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def execute(self, statement: str, *values: Any) -> None:
        """Run and commit one statement."""
        with self.connect() as connection:
            connection.execute(statement, values)

    def new_owner(self) -> UUID:
        """A fresh user who owns nothing."""
        owner = uuid.uuid4()
        self.execute("INSERT INTO users (id, name) VALUES (%s, %s)", owner, f"bench-{owner}")
        return owner

    def count_cards(self, owner: UUID, condition: str = "deleted_at IS NULL") -> int:
        """How many cards of the owner meet the condition."""
        return int(self.value(f"SELECT count(*) FROM cards WHERE user_id = %s AND {condition}", owner))

    def empty(self) -> None:
        """Back to the state after the migration, but for the users: every table that operations fill is
        empty, and PostgreSQL owes the disk nothing. The ledger refuses TRUNCATE; a superuser may say
        that triggers do not fire."""
        with self.connect() as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"TRUNCATE {', '.join(FILLED)}")
            connection.execute("UPDATE users SET extropy_balance = 0 WHERE extropy_balance <> 0")
        self.settle()

    def twin(self) -> Database:
        """A further database on this server, cloned from this one, which nobody may be using."""
        session.dispose()
        name = f"twin_{uuid.uuid4().hex[:8]}"
        start, _, own = self.url.rpartition("/")
        with psycopg.connect(f"{start}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {own}".encode())
        return Database(f"{start}/{name}")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """This process's settings point at this database while it lasts; its connections are new."""
        with environment({"DATABASE_URL": self.url}):
            yield

    def settle(self, *vacuum: str) -> None:
        """VACUUM ANALYZE the named tables and write everything out, so that nothing is owed to the next."""
        with self.connect(autocommit=True) as connection:
            for table in vacuum:
                connection.execute(f"VACUUM (ANALYZE) {table}")
            connection.execute("CHECKPOINT")

    def settings(self) -> dict[str, str]:
        """The settings that the report shows."""
        with self.connect() as connection:
            return {
                name: str(connection.execute(f"SHOW {name}").fetchone()[0])  # type: ignore[index]
                for name in SHOWN_SETTINGS
            }


class RunningStack(Database):
    """``extrophi up``, with its database."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.database_url)
        self.stack = stack
        self.base_url = stack.url
        self.data_dir = stack.data_dir
        self._pepper = (stack.data_dir / "secrets" / "pepper").read_text().strip().encode()

    @property
    def pids(self) -> dict[str, Any]:
        """By process name; ``worker`` is a list, one per Celery parent."""
        return self.stack.pids

    def new_user(self) -> tuple[UUID, str]:
        """A fresh user with an API key of all ordinary scopes, made straight in the database."""
        owner, key = self.new_owner(), keys.make(self._pepper)
        self.execute(
            "INSERT INTO api_keys (id, user_id, name, prefix, last_four, key_hash, scopes)"
            " VALUES (gen_random_uuid(), %s, 'benchmark', %s, %s, %s, %s)",
            owner, keys.prefix_of(key), key[-4:], keys.hash_of(key, self._pepper), sorted(scopes.DEFAULT),
        )  # fmt: skip
        return owner, key


@contextmanager
def database(**settings: str) -> Iterator[Database]:
    """A fresh PostgreSQL with the settings of production, migrated. This process's settings point at it.

    Args:
        settings: further environment variables for this process while it lasts.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # where PostgreSQL runs as an account of its own, it must get here
        server = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log")
        server.start()
        try:
            url = server.ensure_database("extrophi")
            with environment({"DATABASE_URL": url, "DATA_DIR": str(folder / "data"), **settings}):
                migrate.upgrade()
                yield Database(url)
        finally:
            server.stop()


@contextmanager
def stack(*, children: int = 2, workers: int = 1, **settings: str) -> Iterator[RunningStack]:
    """The whole stack in processes of its own: PostgreSQL, Redis, API, ``workers`` Celery parents, beat.

    Args:
        children: Celery children per parent, which is how many runners work side by side.
        settings: further environment variables of the stack.
    """
    values = {"WORKER_CONCURRENCY": str(children), "LOG_LEVEL": "WARNING", **ROOMY}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = Stack(folder / "data", "--workers", str(workers), environment=values | settings)
        try:
            yield RunningStack(running.wait_ready())
        finally:
            running.stop()
