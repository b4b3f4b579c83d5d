"""Wake workers up: best effort, after the commit, and quick to give up."""

from __future__ import annotations

from uuid import UUID

import structlog
from celery import Celery

from backend.core.breaker import Breaker
from backend.core.failpoints import hit
from backend.queue.celery_app import RUN, app

_PRODUCER_TIMEOUT_SECONDS = 0.1
_COOL_DOWN_SECONDS = 1.0
_breaker = Breaker(failures=1, cool_down_seconds=_COOL_DOWN_SECONDS)
log = structlog.get_logger(__name__)


def configure_producer(celery: Celery = app) -> None:
    """Short time-outs for a process that publishes while a caller waits. Call it once, in the API."""
    options = {
        **celery.conf.broker_transport_options,
        "socket_timeout": _PRODUCER_TIMEOUT_SECONDS,
        "socket_connect_timeout": _PRODUCER_TIMEOUT_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 0,  # kombu would sleep 2 s before its second try
        "health_check_interval": 0,
    }
    celery.conf.broker_transport_options = options
    celery.conf.broker_connection_timeout = _PRODUCER_TIMEOUT_SECONDS


def wake(operation_id: UUID, runners: int = 1) -> bool:
    """Publish an operation's id, once per runner wanted. Never raises.

    Returns:
        Whether Redis took it. When not, the sweeper announces the operation once Redis is back.
    """
    if not _breaker.allows():
        return False
    try:
        for _ in range(runners):
            hit("publish.before")
            app.send_task(RUN, args=[str(operation_id)], ignore_result=True, retry=False)
            hit("publish.after")
    except Exception as error:  # whatever it is, the operation is committed
        _breaker.failed()
        log.warning("queue.publish_failed", operation=str(operation_id), error=type(error).__name__)
        return False
    _breaker.succeeded()
    return True
