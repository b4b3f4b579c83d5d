"""A whole stack whose servers and network are the test's to break.

PostgreSQL and Redis run here, ``extrophi up`` reaches them through proxies. Everything else (API, workers,
beat) is the supervisor's, which starts again what is killed.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import psycopg
from redis import Redis

from backend.auth import store
from backend.core.process import is_alive
from backend.embedded.health import health
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.redis import EmbeddedRedis
from backend.tests.faults.proxy import Proxy
from backend.tests.support import books
from backend.tests.support.environment import environment
from backend.tests.support.stack import Stack

PEPPER = "pepper of the fault tests, nowhere else"


class World:
    """Use it as a context manager, from the main thread (its servers die with the thread that starts them).

    Args:
        folder: where all of it lives.
        workers: Celery parents.
        settings: environment variables of the stack.
    """

    def __init__(self, folder: Path, *, workers: int = 2, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log")
        self.redis = EmbeddedRedis(folder / "redis", log=folder / "redis.log")
        self.workers = workers
        self.settings = {"RATE_LIMIT_ENABLED": "false", "API_KEY_PEPPER": PEPPER, **(settings or {})}

    def __enter__(self) -> World:
        self.postgres.start()
        self.redis.start()
        self.database_url = self.postgres.ensure_database("extrophi")
        self.redis_url = self.redis.url()
        self.postgres_proxy = Proxy(lambda: ("127.0.0.1", self.postgres.port))
        self.redis_proxy = Proxy(lambda: ("127.0.0.1", self.redis.port))
        try:
            self.start_stack()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start_stack(self, wait: bool = True) -> None:
        """``extrophi up`` on this world's servers."""
        environment = {
            **self.settings,
            "DATABASE_URL": _on_port(self.database_url, self.postgres_proxy.port),
            "REDIS_URL": _on_port(self.redis_url, self.redis_proxy.port),
        }
        self.stack = Stack(self.folder / "data", "--workers", str(self.workers), environment=environment)
        if wait:
            self.stack.wait_ready()
            self.url = self.stack.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in (self.postgres_proxy, self.redis_proxy):
            proxy.mend()
        with suppress(AttributeError):
            if kind is not None:
                print(self.stack.log()[-20_000:])
            self.stack.kill()
        self.redis.stop()
        self.postgres.stop()
        for proxy in (self.postgres_proxy, self.redis_proxy):
            proxy.close()

    def key_of(self, user: str) -> str:
        """A fresh API key of this user, straight into the database."""
        here = {
            "DATABASE_URL": self.database_url, "API_KEY_PEPPER": PEPPER, "REDIS_URL": self.redis_url
        }  # fmt: skip
        with environment(here):
            return store.create_key(store.create_user(user), "faults").key

    # --- looking ----------------------------------------------------------------------------------

    def violations(self) -> list[str]:
        """What is wrong with the books."""
        return books.violations(self.database_url)

    def query(self, statement: str, *parameters: object) -> list[tuple]:
        """Rows straight from the database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    def parts_done(self) -> int | None:
        """How many parts have ended so far; ``None`` while PostgreSQL does not answer."""
        try:
            return int(self.query("SELECT count(*) FROM operation_parts WHERE state <> 'PENDING'")[0][0])
        except psycopg.Error:
            return None

    def redis_client(self) -> Redis:
        """A client past the proxy."""
        return Redis.from_url(self.redis_url, socket_timeout=5)

    def pids(self, name: str) -> list[int]:
        """Living processes: ``worker`` (parents), ``child`` (worker children), ``api``, ``beat``, ``redis``,
        ``postgres``."""
        if name == "redis":
            return [self.redis.child.pid] if self.redis.child.ended() is None else []
        if name == "postgres":
            return [self.postgres.child.pid] if self.postgres.child.ended() is None else []
        if name == "child":
            return [child for parent in self.pids("worker") for child in _children(parent)]
        named = self.stack.pids[name]
        return [pid for pid in (named if isinstance(named, list) else [named]) if is_alive(pid)]

    def health(self) -> dict[str, Any]:
        """The answer of ``/bulk/health``."""
        answer = health(self.url)
        assert answer is not None, "nobody answers /bulk/health"
        return answer

    def wait_healthy(self, seconds: float = 60) -> float:
        """Wait until PostgreSQL, Redis and every worker answer; the seconds that took."""
        began = time.monotonic()
        answer = None
        while time.monotonic() < began + seconds:
            answer = health(self.url)
            if answer and answer.get("status") == "healthy" and answer.get("worker_count", 0) >= self.workers:
                return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError(f"not healthy after {seconds} s: {answer}\n{self.stack.log()[-5000:]}")

    # --- breaking ---------------------------------------------------------------------------------

    def kill(self, pid: int) -> bool:
        """SIGKILL; whether there was anybody to kill."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def stop_redis(self) -> None:
        self.redis.child.kill()

    def start_redis(self) -> None:
        self.redis.child.start()
        assert self.redis.wait_ready(20)

    def stop_postgres(self) -> None:
        self.postgres.child.kill()

    def start_postgres(self) -> None:
        self.postgres.child.start()
        assert self.postgres.wait_ready(30)


def _children(parent: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(parent).children()]
    except psutil.Error:
        return []


def _on_port(url: str, port: int) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", url)
