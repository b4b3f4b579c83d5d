"""What goes, and when: each step a statement of its own, so that being killed only postpones it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from backend.artifacts.store import open_store
from backend.core.failpoints import hit
from backend.core.settings import Settings, get_settings
from backend.db.session import unit_of_work

BATCH = 1_000

# The time is asked twice: a key that a new request takes over in between has a new row, and keeps it.
_IDEMPOTENCY = """
    DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(secs => :seconds)
        LIMIT :batch)) AND created_at < now() - make_interval(secs => :seconds)
"""
_ITEM_ERRORS = """
    DELETE FROM operation_item_errors WHERE ctid = ANY(ARRAY(
        SELECT e.ctid FROM operation_item_errors e JOIN operations o ON o.id = e.operation_id
        WHERE o.finished_at < now() - make_interval(secs => :seconds) LIMIT :batch))
"""
_OUTCOMES = """
    UPDATE operation_parts SET outcomes = NULL, payload = NULL WHERE ctid = ANY(ARRAY(
        SELECT p.ctid FROM operation_parts p JOIN operations o ON o.id = p.operation_id
        WHERE o.finished_at < now() - make_interval(secs => :seconds)
          AND (p.outcomes IS NOT NULL OR p.payload IS NOT NULL) LIMIT :batch))
"""
_OPERATIONS = """
    DELETE FROM operations WHERE id = ANY(ARRAY(
        SELECT id FROM operations WHERE finished_at < now() - make_interval(secs => :seconds)
        ORDER BY id LIMIT :batch))
"""


@dataclass(slots=True)
class Purged:
    """Rows and files that went."""

    idempotency_keys: int = 0
    item_errors: int = 0
    outcomes: int = 0
    operations: int = 0
    artifacts: int = 0

    def as_json(self) -> dict[str, int]:
        return asdict(self)


def purge(settings: Settings | None = None) -> Purged:
    """Delete what is past its retention, in small transactions. Run again it finds nothing more to do."""
    settings = settings or get_settings()
    purged = Purged()
    purged.idempotency_keys = _all(_IDEMPOTENCY, settings.idempotency_retention_seconds)
    purged.item_errors = _all(_ITEM_ERRORS, settings.item_error_retention_seconds)
    purged.outcomes = _all(_OUTCOMES, settings.item_error_retention_seconds)
    purged.operations = _all(_OPERATIONS, settings.operation_retention_seconds)
    hit("purge.before_artifacts")
    oldest = datetime.now(UTC) - timedelta(seconds=settings.artifact_retention_seconds)
    purged.artifacts = open_store(settings).purge(oldest)
    hit("purge.after_artifacts")
    return purged


def _all(statement: str, seconds: int) -> int:
    gone = 0
    while True:
        with unit_of_work() as connection:
            count = _once(connection, statement, seconds)
            hit("purge.before_commit")
        hit("purge.after_commit")
        gone += count
        if count < BATCH:
            return gone


def _once(connection: Connection, statement: str, seconds: int) -> int:
    return connection.execute(text(statement), {"seconds": seconds, "batch": BATCH}).rowcount
