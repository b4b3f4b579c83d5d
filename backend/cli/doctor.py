"""What is wrong with this installation, and how to mend it. Each check is one function."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from redis.exceptions import RedisError
from sqlalchemy import create_engine, pool

from backend.core.errors import ExtrophiError
from backend.core.settings import Settings, get_settings
from backend.db import migrate
from backend.db.redis_client import RedisDown
from backend.embedded import binaries
from backend.embedded.identity import server_identity
from backend.embedded.redis import impatient_client
from backend.embedded.running import adopt_running_stack

GIB = 1024**3
DISTRIBUTION = "extrophi-bulk"


@dataclass(frozen=True)
class Finding:
    """One check's outcome: ``state`` is ``ok``, ``warning`` or ``wrong``; ``mend`` says what to do."""

    check: str
    state: str
    detail: str
    mend: str = ""


def findings() -> list[Finding]:
    """Every check, in an order in which a later one may rest on an earlier one."""
    try:
        stack = adopt_running_stack()
        where = f"stack on {stack.data_dir}" if stack is not None else "the environment's servers"
        first = Finding("servers", "ok", where)
    except ExtrophiError as error:
        first = Finding("servers", "wrong", error.detail, "set DATA_DIR or DATABASE_URL")
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _programs,
        _database,
        _redis,
        _workers,
        _disk,
        _secrets,
    )
    settings = get_settings()
    return [first, *(finding for check in checks for finding in check(settings))]


def settings_table() -> list[dict[str, str]]:
    """Every setting: name, default, current value (secrets hidden), description."""
    current = get_settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value, default = getattr(current, name), field.default
        rows.append(
            {
                "name": name.upper(),
                "default": _shown(default),
                "value": "(hidden)" if isinstance(value, SecretStr) else _shown(value),
                "description": field.description or "",
            }
        )
    return rows


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _python(_: Settings) -> Iterator[Finding]:
    version = ".".join(str(number) for number in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if good else "wrong", version, "" if good else "use Python 3.11 or newer")


def _packages(_: Settings) -> Iterator[Finding]:
    missing = []
    for requirement in importlib.metadata.requires(DISTRIBUTION) or []:
        if "extra ==" in requirement or ("sys_platform" in requirement and sys.platform == "win32"):
            continue
        name = requirement.split(";")[0]
        for mark in "<>=[!~ ":
            name = name.split(mark)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if "python_version < '3.14'" in requirement and sys.version_info >= (3, 14):
                continue
            missing.append(name)
    version = importlib.metadata.version(DISTRIBUTION)
    if missing:
        yield Finding("packages", "wrong", f"missing: {', '.join(missing)}", "run make install")
    else:
        yield Finding("packages", "ok", f"{DISTRIBUTION} {version} and everything it needs")


def _programs(_: Settings) -> Iterator[Finding]:
    try:
        detail = f"PostgreSQL in {binaries.postgres_bin()}, Redis {binaries.redis_binary()}"
        server_identity()
    except ExtrophiError as error:
        yield Finding("embedded servers", "warning", error.detail, "only needed for extrophi up and demo")
    else:
        yield Finding("embedded servers", "ok", detail)


def _database(settings: Settings) -> Iterator[Finding]:
    mend = "start the stack (extrophi up) or set DATABASE_URL"
    try:
        engine = create_engine(
            settings.sqlalchemy_url, poolclass=pool.NullPool, connect_args={"connect_timeout": 2}
        )
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            version = raw.info.server_version // 10_000
            current = set(MigrationContext.configure(connection).get_current_heads())
    except Exception as error:
        yield Finding("postgresql", "wrong", str(error).splitlines()[0], mend)
        return
    good = 15 <= version <= 18
    yield Finding(
        "postgresql",
        "ok" if good else "warning",
        f"version {version} answers",
        "" if good else "15 to 18 are tested",
    )
    newest = set(ScriptDirectory.from_config(migrate.config()).get_heads())
    if current == newest:
        yield Finding("migrations", "ok", f"at {', '.join(sorted(newest))}")
    else:
        detail = f"at {', '.join(sorted(current)) or 'nothing'}, newest is {', '.join(sorted(newest))}"
        yield Finding("migrations", "wrong", detail, "run extrophi migrate")


def _redis(settings: Settings) -> Iterator[Finding]:
    try:
        with impatient_client(settings.broker_url) as client:
            about = client.info("server")
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except RedisError as error:
        yield Finding(
            "redis",
            "wrong",
            str(error).splitlines()[0],
            "start the stack or set REDIS_URL; work waits meanwhile",
        )
        return
    name = "Valkey" if "valkey_version" in about else "Redis"
    yield Finding("redis", "ok", f"{name} {about.get('valkey_version', about.get('redis_version'))} answers")
    if policy not in {None, "noeviction"}:
        yield Finding(
            "redis memory",
            "warning",
            f"maxmemory-policy is {policy}",
            "set it to noeviction: queues may be dropped",
        )


def _workers(_: Settings) -> Iterator[Finding]:
    from backend.queue import telemetry  # reads the settings, which are those of the running stack by now

    try:
        names = telemetry.worker_names()
    except RedisDown as error:
        yield Finding("workers", "wrong", f"cannot ask: {error}", "mend Redis first")
        return
    if names:
        yield Finding("workers", "ok", f"{len(names)} alive: {', '.join(names)}")
    else:
        mend = "start the stack, or: celery -A backend.queue.celery_app worker --loglevel=info"
        yield Finding("workers", "wrong", "none gives a sign of life", mend)


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < GIB:
        yield Finding(
            "disk", "warning", f"{free // 1024**2} MiB free at {folder}", "free some, or move DATA_DIR"
        )
    else:
        yield Finding("disk", "ok", f"{free // GIB} GiB free at {folder}")
    if settings.data_dir.exists() and not _writable(settings.data_dir):
        yield Finding(
            "data folder", "wrong", f"{folder} cannot be written to", "change its owner or DATA_DIR"
        )


def _writable(folder: Path) -> bool:
    probe = folder / ".doctor"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _secrets(settings: Settings) -> Iterator[Finding]:
    default = Settings.model_fields["api_key_pepper"].default.get_secret_value()
    if settings.api_key_pepper.get_secret_value() != default:
        yield Finding("api key pepper", "ok", "set")
    elif settings.environment == "production":
        yield Finding(
            "api key pepper", "wrong", "the default is in use", "set API_KEY_PEPPER to a long random text"
        )
    else:
        yield Finding(
            "api key pepper", "warning", "the default is in use", "set API_KEY_PEPPER in production"
        )
