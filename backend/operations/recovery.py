"""The sweeper: whatever should be running and is not, is woken; whatever is over is finished.

It decides from PostgreSQL alone, so it may run at any time, twice, or not for a while.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from backend.core.failpoints import hit
from backend.core.settings import get_settings
from backend.db.session import autocommit, unit_of_work
from backend.operations import claiming
from backend.operations.ending import cancel_waiting_parts
from backend.operations.finishing import finish_if_over

_OVER = text(
    """
    SELECT o.id FROM operations o WHERE o.finished_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM operation_parts p WHERE p.operation_id = o.id AND p.state = 'PENDING')
    ORDER BY o.id LIMIT 1000
    """
)
_CANCELLED = text(
    "SELECT id FROM operations WHERE finished_at IS NULL AND cancel_requested_at IS NOT NULL ORDER BY id"
)

WORKER_APPLICATION = "extrophi worker"  # how workers' sessions call themselves
# In the middle of COPY … FROM STDIN PostgreSQL reads on whatever its time-outs say: neither statement_timeout
# nor idle_in_transaction_session_timeout ends the session of a worker that stands still there. Other queries
# may stand before it in the same message.
_END_STANDING = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = :application
      AND state = 'active' AND wait_event = 'ClientRead' AND query LIKE '%COPY % FROM STDIN%'
      AND clock_timestamp() - query_start > make_interval(secs => :seconds)
    """
)


def sweep() -> list[UUID]:
    """Finish what is over, cancel what a killed worker left of a cancelled operation, free what a stopped
    worker holds.

    Returns:
        Operations with a part that is due, in the order in which they should be served: wake runners
        for some of them; each runner serves all of them in turn.
    """
    _end_standing()
    with unit_of_work() as connection:
        for cancelled in connection.execute(_CANCELLED).scalars().all():
            cancel_waiting_parts(connection, cancelled)
        hit("sweep.before_commit")
    hit("sweep.after_commit")
    with unit_of_work() as connection:
        over = connection.execute(_OVER).scalars().all()
    for operation in over:
        finish_if_over(operation)
    with unit_of_work() as connection:
        return [candidate.id for candidate in claiming.candidates(connection, get_settings())]


def _end_standing() -> None:
    """End sessions of workers that hold a part and have sent nothing of it for too long."""
    seconds = get_settings().db_idle_in_transaction_timeout_seconds
    with autocommit() as connection:
        connection.execute(_END_STANDING, {"application": WORKER_APPLICATION, "seconds": seconds})
