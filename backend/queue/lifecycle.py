"""What a worker's processes do when they start and stop."""

from __future__ import annotations

import mmap
import os
from typing import Any
from uuid import UUID, uuid4

from celery.signals import (
    beat_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)

from backend.core import logging
from backend.core.process import die_with_parent, give_memory_back
from backend.db import session
from backend.operations.recovery import WORKER_APPLICATION
from backend.queue import telemetry  # noqa: F401 - its signals: signs of life

# Shared with the children, which are forked later: one byte that says "finish your part and stop".
_stop = mmap.mmap(-1, 1)
_node = "celery@localhost"
_incarnation = uuid4()


def node() -> str:
    """The worker's name; stable over restarts."""
    return _node


def incarnation() -> UUID:
    """This start of the worker."""
    return _incarnation


def stopping() -> bool:
    """Whether this worker was asked to end."""
    return _stop[0] != 0


@worker_init.connect
def _name(sender: Any = None, **_: Any) -> None:
    global _node, _incarnation
    _node = str(getattr(sender, "hostname", None) or _node)
    _incarnation = uuid4()


@worker_init.connect
def _load(**_: Any) -> None:
    session.load_libraries()


@worker_process_init.connect
def _start_child(**_: Any) -> None:
    die_with_parent(parent=os.getppid())
    give_memory_back()
    session.configure(application=WORKER_APPLICATION)


@worker_process_shutdown.connect
def _stop_child(**_: Any) -> None:
    session.dispose()


@worker_shutting_down.connect
def _ask_to_stop(**_: Any) -> None:
    _stop[0] = 1


@setup_logging.connect
def _log(**_: Any) -> None:
    logging.configure("worker")


@beat_init.connect
def _log_beat(**_: Any) -> None:
    logging.configure("beat")
