"""Alembic's entry: one transaction for all migrations, under an advisory lock."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from backend.core.settings import get_settings
from backend.db import (
    tables,  # noqa: F401  (fills the metadata)
    tenants,
)
from backend.db.base import metadata

# Two deployments that start together take turns.
MIGRATION_LOCK = 0x6578_7472


def run() -> None:
    engine = create_engine(
        get_settings().sqlalchemy_url, poolclass=pool.NullPool, connect_args={"connect_timeout": 10}
    )
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.configure(
            connection=connection,
            target_metadata=metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=False,
        )
        context.run_migrations()
        if connection.dialect.has_table(connection, "audit_log"):
            tenants.ensure(connection)


run()
