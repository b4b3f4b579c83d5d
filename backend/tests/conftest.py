"""Real servers for every test.

Fixtures:

* ``postgres_url`` (session): a PostgreSQL server, as its superuser; ``TEST_DATABASE_URL`` when given
* ``redis_url`` (session): a Redis server; ``TEST_REDIS_URL`` when given
* ``database``: a fresh, migrated database of its own; the settings of this process point at it
* ``owner``: the UUID of a fresh user in ``database``
* ``stack`` (session): the whole supervised stack; see ``support/stack.py``; marks a test integration
* ``new_stack``: starts further stacks, with other options or to be killed

Options: ``--integration`` also runs tests marked integration; ``--long`` gives fuzzing its full time.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from redis import Redis

from backend.core.settings import get_settings
from backend.db import migrate, session
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.redis import EmbeddedRedis
from backend.embedded.tuning import THROWAWAY
from backend.tests.support import books
from backend.tests.support.stack import Stack

settings.register_profile("long", max_examples=1_000)
_STACKS = {"faults", "embedded", "benchmarks", "docs", "performance", "security", "scripts"}
_MEMORY_BYTES = 8 * 1024**3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--integration", action="store_true", help="also run the tests on the whole real stack")
    parser.addoption("--long", action="store_true", help="give fuzzing and fault tests their full time")


def pytest_configure(config: pytest.Config) -> None:
    """Servers' folders, of hundreds of files, in memory where it is large; long property tests if asked."""
    if config.getoption("--long"):
        settings.load_profile("long")
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _MEMORY_BYTES < _available():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def _available() -> int:
    """Bytes of memory that are free or can be freed; 0 where that is not told."""
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: tests wait for servers to start, and a quarter of the time is left."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Those that start stacks first: begun last, a file of minutes would run alone in the end.
    items.sort(key=lambda item: not _STACKS.intersection(item.path.parts))
    skip = pytest.mark.skip(reason="runs the whole stack: give --integration (make test does)")
    for item in items:
        if {"stack", "new_stack"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
        if item.get_closest_marker("integration") and not config.getoption("--integration"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0 without xdist, else the number of this xdist worker."""
    name = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server (its database ``postgres``, as superuser)."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder / "data", log=folder / "postgres.log", extra=THROWAWAY)
    server.start()
    try:
        yield server.url()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory, worker_number: int) -> Iterator[str]:
    """The URL of a real server; one database of it belongs to this test process."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield f"{given.rstrip('/').rpartition('/')[0]}/{worker_number}" if given.count("/") > 2 else given
        return
    folder = tmp_path_factory.mktemp("redis")
    server = EmbeddedRedis(folder / "data", log=folder / "redis.log")
    server.start()
    try:
        yield server.url()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database to clone."""
    name = f"template_{uuid.uuid4().hex}"
    _administer(postgres_url, "CREATE DATABASE {}", name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", on_database(postgres_url, name))
        get_settings.cache_clear()
        migrate.upgrade()
    get_settings.cache_clear()
    session.dispose()
    yield name
    _administer(postgres_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture
def database(
    postgres_url: str,
    redis_url: str,
    template_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The URL of a fresh database with the newest schema; Redis is empty; DATA_DIR is a fresh folder."""
    name = f"test_{uuid.uuid4().hex}"
    _administer(postgres_url, f"CREATE DATABASE {{}} TEMPLATE {template_database} STRATEGY FILE_COPY", name)
    url = on_database(postgres_url, name)
    data_dir = tmp_path / "data"
    data_dir.mkdir(exist_ok=True)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    with Redis.from_url(redis_url) as client:
        client.flushdb()
    session.dispose()
    get_settings.cache_clear()
    yield url
    session.dispose()
    get_settings.cache_clear()
    _administer(postgres_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture
def owner(database: str) -> uuid.UUID:
    """A user who owns nothing yet."""
    user_id = uuid.uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (user_id, f"user-{user_id}"))
    return user_id


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running stack for this test process. Tests leave it healthy and its books adding up, each makes
    its own users."""
    running = Stack(tmp_path_factory.mktemp("stack") / "data", "--workers", "1")
    try:
        yield running.wait_ready()
        assert books.violations(running.database_url) == []
    finally:
        running.stop()


@pytest.fixture
def new_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts stacks: ``new_stack("--workers", "2", name="data", environment={…})``; ended after the test."""
    started: list[Stack] = []

    def start(*arguments: str, name: str = "data", environment: dict[str, str] | None = None) -> Stack:
        started.append(Stack(tmp_path / name, *arguments, environment=environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
    for one in started:
        try:
            one.process.wait(45)
        finally:
            one.kill()


def on_database(url: str, name: str) -> str:
    """``url`` with another database."""
    start, _, query = url.partition("?")
    return f"{start.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def _administer(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
