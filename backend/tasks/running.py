"""One runner in this worker child, and what it owes to earlier starts of its worker."""

from __future__ import annotations

import time
from uuid import UUID

from backend.db.session import autocommit, is_transient
from backend.operations import attempts
from backend.operations.attempts import Worker
from backend.operations.runner import Runner
from backend.queue import lifecycle

_PAUSE_SECONDS = 1.0  # PostgreSQL does not answer: the message goes round, not this loop
_runner: Runner | None = None


def run_slice(operation_id: UUID) -> bool:
    """Run parts until none can be taken or the slice is over. Returns whether there may be more."""
    global _runner
    if _runner is None:
        worker = Worker(lifecycle.node(), lifecycle.incarnation())
        if not _excuse(worker):
            return True
        _runner = Runner(worker, lifecycle.stopping)
    return _runner.run(operation_id)


def _excuse(worker: Worker) -> bool:
    """Attempts that ended because this whole worker was killed do not count against their parts."""
    try:
        with autocommit() as connection:
            attempts.excuse_earlier(connection, worker)
    except Exception as error:
        if not is_transient(error):
            raise
        time.sleep(_PAUSE_SECONDS)
        return False
    return True
