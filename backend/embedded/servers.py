"""PostgreSQL and Redis of a stack: those that are given, else embedded ones."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis.exceptions import RedisError

from backend.core.errors import Unavailable
from backend.core.settings import Settings
from backend.embedded.child import Child
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.redis import EmbeddedRedis, impatient_client
from backend.embedded.running import PEPPER_FILE
from backend.embedded.secrets import read_or_make
from backend.embedded.tuning import connections_for

DATABASE = "extrophi"
GIVEN_PATIENCE_SECONDS = 30.0


@dataclass
class Servers:
    """Where the servers are, and the children that are ours (in the order in which they started)."""

    database_url: str
    redis_url: str
    children: list[Child]

    def stop(self) -> None:
        """Stop ours: Redis first, PostgreSQL last."""
        for child in reversed(self.children):
            child.stop(8)


def start(data_dir: Path, children: list[Child], worker_children: int) -> Servers:
    """Start what ``DATABASE_URL`` and ``REDIS_URL`` do not give; wait until both answer.

    Args:
        data_dir: where ours keep their data.
        children: gets each child as soon as it exists, so that the caller can end it should a later one fail.
        worker_children: how many Celery children will want connections.

    Raises:
        Unavailable: naming the server that does not answer.
    """
    database_url = os.environ.get("DATABASE_URL")
    redis_url = os.environ.get("REDIS_URL")
    if database_url:
        _await_postgres(Settings(database_url=database_url).libpq_url)
    else:
        postgres = EmbeddedPostgres(
            data_dir / "postgres",
            log=data_dir / "logs" / "postgres.log",
            password_file=data_dir / "secrets" / "postgres",
            extra=(connections_for(worker_children),),
        )
        children.append(postgres.child)
        postgres.start()
        database_url = postgres.ensure_database(DATABASE)
    if redis_url:
        _await_redis(redis_url)
    else:
        redis = EmbeddedRedis(data_dir / "redis", log=data_dir / "logs" / "redis.log")
        children.append(redis.child)
        redis.start()
        redis_url = redis.url()
    return Servers(database_url, redis_url, children)


def variables(servers: Servers, data_dir: Path) -> dict[str, str]:
    """The environment variables that lead to these servers.

    The secret of the API keys is made here for an embedded database. For a given one it stays what the
    environment says, because other processes that use the database must have the same.
    """
    values = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    embedded = any(child.name == "postgres" for child in servers.children)
    if embedded and not os.environ.get("API_KEY_PEPPER"):
        values["API_KEY_PEPPER"] = read_or_make(data_dir / PEPPER_FILE)
    return values


def _await_postgres(url: str) -> None:
    end = time.monotonic() + GIVEN_PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise Unavailable(
                    f"PostgreSQL at DATABASE_URL does not answer: {_first_line(error)}"
                ) from error
        time.sleep(0.2)


def _await_redis(url: str) -> None:
    end = time.monotonic() + GIVEN_PATIENCE_SECONDS
    while True:
        try:
            with impatient_client(url) as client:
                client.ping()
            return
        except RedisError as error:
            if time.monotonic() > end:
                raise Unavailable(f"Redis at REDIS_URL does not answer: {_first_line(error)}") from error
        time.sleep(0.2)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
