"""Bring a database to the newest schema, from code (``extrophi migrate``, the supervisor, tests)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def config() -> Config:
    """Alembic's configuration, independent of the working directory."""
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return alembic


def upgrade() -> None:
    """Run every migration that is missing. Safe to call from several processes at once."""
    command.upgrade(config(), "head")


def check() -> None:
    """Raise ``alembic.util.CommandError`` when the tables and the migrations differ."""
    command.check(config())
