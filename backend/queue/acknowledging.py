"""The request of a task as the worker's parent keeps it: where a message is acknowledged."""

from __future__ import annotations

from celery.worker.request import Request

from backend.core.failpoints import hit


class AcknowledgedRequest(Request):  # type: ignore[misc]  # celery has no types
    """Celery's own, with a failpoint on either side of the acknowledgement."""

    def acknowledge(self) -> None:
        """Tell the broker that the message is done with. In the parent: the child has ended its task."""
        hit("acknowledge.before")
        super().acknowledge()
        hit("acknowledge.after")
