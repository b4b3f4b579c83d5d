"""The one part of an export: its snapshot is its own, its transaction only holds the lease."""

from __future__ import annotations

import time

from sqlalchemy import text

from backend.operations import exporting
from backend.operations.store import PartResult
from backend.operations.working import Work

_KEPT_ALIVE = 6  # times within the time after which PostgreSQL ends a session that idles
_KEEP_ALIVE = text("SELECT 1")


def run(work: Work) -> PartResult:
    """Write the file; the counts and where it lies become the operation's result.

    Idempotent: a file that was written by a run that did not commit is another object, and is purged.
    """
    operation = work.claim.operation
    last = time.monotonic()
    every = work.settings.db_idle_in_transaction_timeout_seconds / _KEPT_ALIVE

    def should_stop() -> bool:
        """Asked about once a second; keeps the leasing session from idling into its time-out."""
        nonlocal last
        if time.monotonic() - last > every:
            work.connection.execute(_KEEP_ALIVE)
            last = time.monotonic()
        return work.should_stop()

    done = exporting.run_export(operation.user_id, operation.id, operation.options, should_stop=should_stop)
    return PartResult(imported=done.cards, item_count=done.cards, summary=done.summary)
