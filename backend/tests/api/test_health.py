"""Health and probes answer within a second, whatever is down or stands still, however busy the API is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from backend.auth import store
from backend.core.settings import get_settings
from backend.db import migrate, session
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.redis import EmbeddedRedis
from backend.embedded.tuning import THROWAWAY
from backend.tests.support.uvicorn import Uvicorn, family

pytestmark = [pytest.mark.integration, pytest.mark.faults]
CACHED_SECONDS = 0.5


class Installation:
    """An API process and servers that are the test's to stop."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log", extra=THROWAWAY)
        self.redis = EmbeddedRedis(folder / "redis", log=folder / "redis.log")
        self.postgres.start()
        self.redis.start()
        environment = {
            "DATABASE_URL": self.postgres.ensure_database("extrophi"),
            "REDIS_URL": self.redis.url(),
            "DATA_DIR": str(folder / "files"),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            get_settings.cache_clear()
            migrate.upgrade()
            self.key = store.create_key(store.create_user("busy"), "test").key
            session.dispose()
        get_settings.cache_clear()
        self.api = Uvicorn(folder, environment)
        self.http = httpx2.Client(base_url=self.api.url, timeout=30)  # made once: it takes its time

    def health(self) -> tuple[httpx2.Response, float]:
        """The answer, and the seconds it took, once the last one is no longer reused."""
        time.sleep(CACHED_SECONDS + 0.1)
        return self.timed("/bulk/health")

    def timed(self, path: str) -> tuple[httpx2.Response, float]:
        began = time.monotonic()
        answer = self.http.get(path)
        return answer, time.monotonic() - began

    def await_well(self) -> None:
        end = time.monotonic() + 20
        while self.health()[0].status_code != 200:
            assert time.monotonic() < end, "it does not recover"

    def stop(self) -> None:
        self.http.close()
        self.api.stop()
        self.redis.stop()
        self.postgres.stop()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("installation"))
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def standing_still(*servers: Any) -> Iterator[None]:
    """SIGSTOP to every process of these servers: connections stay open, nothing answers."""
    pids = [pid for server in servers for pid in family(server.child.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def asking(installation: Installation, count: int) -> list[threading.Thread]:
    """So many callers, each waiting for an answer that needs PostgreSQL."""
    headers = {"Authorization": f"Bearer {installation.key}"}
    http = httpx2.Client(
        base_url=installation.api.url,
        headers=headers,
        timeout=60,
        limits=httpx2.Limits(max_connections=count),
    )

    def ask() -> None:
        with suppress(httpx2.TransportError):
            http.get("/tokens/balance")

    callers = [threading.Thread(target=ask) for _ in range(count)]
    for caller in callers:
        caller.start()
    time.sleep(1)
    return callers


def test_all_well_but_without_workers_it_says_degraded_and_200(installation):
    installation.await_well()
    answer, seconds = installation.health()
    assert (answer.status_code, seconds < 1) == (200, True)
    assert answer.json() == {
        "status": "degraded", "service": "bulk-operations", "version": answer.json()["version"],
        "celery_workers": "unhealthy", "worker_count": 0, "database": "healthy", "redis": "healthy",
    }  # fmt: skip


@pytest.mark.parametrize("still", [("postgres",), ("redis",), ("postgres", "redis")], ids="+".join)
def test_a_server_that_stands_still_is_named_within_a_second(installation, still):
    installation.await_well()
    with standing_still(*(getattr(installation, name) for name in still)):
        for _ in range(3):
            answer, seconds = installation.health()
            assert seconds < 1
            assert answer.status_code == 503
            body = answer.json()
            assert body["status"] == "degraded"
            assert body["database"] == ("unhealthy" if "postgres" in still else "healthy")
            assert body["redis"] == ("unhealthy" if "redis" in still else "healthy")
        ready, seconds = installation.timed("/health/ready")
        assert (ready.status_code, seconds < 1) == (503 if "postgres" in still else 200, True)
    installation.await_well()


@pytest.mark.parametrize("down", [("postgres",), ("redis",), ("postgres", "redis")], ids="+".join)
def test_a_server_that_is_gone_is_named_within_a_second(installation, down):
    installation.await_well()
    for name in down:
        getattr(installation, name).stop()
    try:
        for _ in range(3):
            answer, seconds = installation.health()
            assert seconds < 1
            assert answer.status_code == 503
            assert answer.json()["database"] == ("unhealthy" if "postgres" in down else "healthy")
            assert answer.json()["redis"] == ("unhealthy" if "redis" in down else "healthy")
    finally:
        for name in down:
            getattr(installation, name).child.start()
    installation.await_well()


def test_every_connection_may_hang_on_postgresql_and_health_and_metrics_still_answer(installation):
    """More callers than the API has threads and connections wait for a PostgreSQL that stands still."""
    installation.await_well()
    with standing_still(installation.postgres):
        callers = asking(installation, 80)
        answer, seconds = installation.health()
        assert (answer.status_code, seconds < 1) == (503, True)
        live, seconds = installation.timed("/health/live")
        assert (live.status_code, seconds < 1) == (200, True)
        figures, seconds = installation.timed("/metrics")
        assert (figures.status_code, seconds < 3) == (200, True)
        assert "extrophi_database_up 0.0" in figures.text
        hanging = sum(caller.is_alive() for caller in callers)
        assert hanging >= 20, "they do not hang: this shows nothing"
    for caller in callers:
        caller.join(60)
    installation.await_well()


def test_a_pool_that_is_used_up_by_long_work_is_not_a_database_that_is_down(installation):
    """Health asks on a connection of its own."""
    installation.await_well()
    url = installation.postgres.url("extrophi")
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        callers = asking(installation, 60)
        answer, seconds = installation.health()
        figures, _ = installation.timed("/metrics")
    for caller in callers:
        caller.join(60)
    assert (answer.status_code, answer.json()["database"], seconds < 1) == (200, "healthy", True)
    assert 'extrophi_database_connections{state="in_use"} 20.0' in figures.text
