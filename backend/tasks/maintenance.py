"""The clock's tasks: wake what should run, delete what is past its retention."""

from __future__ import annotations

from backend.core.failpoints import hit
from backend.core.settings import get_settings
from backend.operations import recovery, retention
from backend.queue import dispatch, telemetry
from backend.queue.celery_app import PURGE, SWEEP, app


@app.task(name=SWEEP)
def sweep() -> None:
    """Wake runners for what is due, as many as one operation gets, unless enough are announced already."""
    waiting = recovery.sweep()
    hit("sweep.before_publish")
    room = 2 * get_settings().runners_per_operation - telemetry.queue_length() if waiting else 0
    for operation_id in waiting[: max(0, room)]:
        dispatch.wake(operation_id)
    if len(waiting) == 1:
        dispatch.wake(waiting[0], max(0, min(room, get_settings().runners_per_operation) - 1))
    hit("sweep.after_publish")


@app.task(name=PURGE)
def purge() -> dict[str, int]:
    """Delete what is past its retention. Being killed only postpones it."""
    return retention.purge().as_json()
