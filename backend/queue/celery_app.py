"""The Celery app and its settings. Messages only wake workers up; all state is in PostgreSQL.

``celery -A backend.queue.celery_app worker`` and ``… beat`` are how workers and the clock are started.
"""

from __future__ import annotations

from celery import Celery

from backend.core.settings import get_settings
from backend.queue import transport

RUN = "backend.tasks.bulk_operations.run_operation"
SWEEP = "backend.tasks.maintenance.sweep"
PURGE = "backend.tasks.maintenance.purge"
PURGE_SECONDS = 3_600.0

settings = get_settings()
transport.install()

app = Celery(
    "extrophi",
    broker=settings.broker_url,
    include=["backend.tasks.bulk_operations", "backend.tasks.maintenance"],
)
app.conf.update(
    # Results live in PostgreSQL. A result backend would make publishing block for 19 s while Redis is down.
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    # A killed child's message comes back at once; which parts it may run is decided in PostgreSQL.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=settings.task_soft_time_limit_seconds,
    task_time_limit=settings.task_time_limit_seconds,
    # Longer than any task may run, or the message is delivered again while it runs (celery 5935).
    broker_transport_options={
        "visibility_timeout": settings.task_time_limit_seconds * 2,
        # A silent dead socket would hang a worker for ever without these (celery 10205).
        "socket_timeout": 30,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": True,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # What was taken and not acknowledged when the connection was lost is taken again by somebody.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Publishing gives up at once: the sweeper finds in PostgreSQL what could not be announced.
    task_publish_retry=False,
    # One message in hand per child: a message is a turn, and turns are short.
    worker_prefetch_multiplier=1,
    # SIGTERM: the part in flight ends, then the child does.
    worker_soft_shutdown_timeout=30.0,
    worker_enable_soft_shutdown_on_idle=False,
    worker_max_tasks_per_child=1_000,
    worker_max_memory_per_child=400_000,  # KiB
    worker_hijack_root_logger=False,
    worker_send_task_events=False,  # Flower asks for them where it runs; they cost a quarter of each message
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    enable_utc=True,
    beat_schedule={
        # A sweep that could not be delivered in time is not worth delivering: the next one sees the same.
        "sweep": {
            "task": SWEEP,
            "schedule": settings.sweep_seconds,
            "options": {"expires": settings.sweep_seconds},
        },
        "purge": {"task": PURGE, "schedule": PURGE_SECONDS, "options": {"expires": PURGE_SECONDS}},
    },
)
