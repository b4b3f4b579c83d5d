"""The engine and the API in this process, with meters between them and the real servers.

What is guarded here does not depend on the clock, so that it means the same on a busy machine: statements,
round trips, bytes and memory. Each bound is what was measured, or so close above it that twice as much of
anything fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from backend.core.settings import get_settings
from backend.db import redis_client, session
from backend.queue.celery_app import app
from backend.tests.performance.wire import Meter, PostgresStatements
from backend.tests.support.engine import Engine
from backend.tests.support.service import InProcess


def _target(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def _through(url: str, meter: Meter) -> str:
    host, port = _target(url)
    return url.replace(f"{host}:{port}", f"127.0.0.1:{meter.port}")


@pytest.fixture
def postgres(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """A meter before this test's database; the settings of this process lead through it."""
    meter = Meter(lambda: _target(database), PostgresStatements)
    monkeypatch.setenv("DATABASE_URL", _through(database, meter))
    session.dispose()
    get_settings.cache_clear()
    yield meter
    session.dispose()
    get_settings.cache_clear()
    meter.close()


@pytest.fixture
def redis(database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """A meter before Redis, for rates and for publishing."""
    meter = Meter(lambda: _target(redis_url))
    url = _through(redis_url, meter)
    monkeypatch.setenv("REDIS_URL", url)
    get_settings.cache_clear()
    redis_client.forget()
    before = app.conf.broker_url
    app.conf.broker_url = url
    app._after_fork()  # drops its connections
    yield meter
    redis_client.forget()
    app.conf.broker_url = before
    app._after_fork()
    meter.close()


@pytest.fixture
def engine(postgres: Meter, owner: UUID) -> Engine:
    """The engine as one owner sees it, through the meter."""
    return Engine(owner)


@pytest.fixture
def service(postgres: Meter, redis: Meter, database: str) -> InProcess:
    """The API in this process, through both meters."""
    return InProcess(database)
