"""The task that runs operations. Its body is one call."""

from __future__ import annotations

from uuid import UUID

from backend.core.failpoints import hit
from backend.queue import dispatch, lifecycle
from backend.queue.celery_app import RUN, app
from backend.tasks.running import run_slice


@app.task(name=RUN, Request="backend.queue.acknowledging:AcknowledgedRequest")
def run_operation(operation_id: str) -> None:
    """Run parts, of this and of any other operation, for one time slice.

    Losing, doubling or reordering this message changes nothing but latency: what there is to do is read
    from PostgreSQL, and each part is taken under its row lock.
    """
    wanted = UUID(operation_id)
    if run_slice(wanted) and not lifecycle.stopping():
        dispatch.wake(wanted)
    hit("task.before_acknowledge")
