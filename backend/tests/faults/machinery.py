"""The engine in this process, with faults at its failpoints: what the stateful test moves about."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import structlog

from backend.core.settings import get_settings
from backend.db import session
from backend.db.session import autocommit, is_transient
from backend.operations import (
    actions,
    atomic,
    attempts,
    exporting,
    finishing,
    recovery,
    retention,
    runner,
    submit,
)
from backend.operations.attempts import Worker
from backend.operations.runner import Runner

PATIENCE_SECONDS = 20
_MARGIN_SECONDS = 0.5  # between PostgreSQL's clock and ours


class Killed(BaseException):
    """This worker is dead: no handler of the engine may see it, its transaction is rolled back."""


class Lost(Exception):
    """PostgreSQL went away under a call; what became of it is not known to the caller."""


class _Plans(threading.local):
    """What happens at which failpoint, in this thread only."""

    def __init__(self) -> None:
        self.at: str | None = None
        self.action: Callable[[], None] | None = None
        self.seen: set[str] = set()


plans = _Plans()


def hit(name: str, detail: str = "") -> None:
    """In place of ``backend.core.failpoints.hit``."""
    plans.seen.add(name)
    if plans.at == name and plans.action is not None:
        action, plans.action, plans.at = plans.action, None, None
        action()


def install(patch: pytest.MonkeyPatch) -> None:
    """Put ``hit`` where the engine has its failpoints, and take out its waiting."""
    for module in (actions, atomic, exporting, finishing, recovery, retention, runner, submit):
        if hasattr(module, "hit"):
            patch.setattr(module, "hit", hit)
    patch.setattr(runner, "_UNREACHABLE_PAUSE_SECONDS", 0.0)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@contextmanager
def at(name: str | None, action: Callable[[], None]):
    """Act when this thread passes the failpoint, once. A part's own transaction is open there."""
    plans.at, plans.action = name, action
    try:
        yield
    finally:
        plans.at, plans.action = None, None


def kill() -> None:
    raise Killed


def cut_all_sessions() -> None:
    """PostgreSQL ends every session of this database, as a restart of it does."""
    with psycopg.connect(get_settings().libpq_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def surviving(call: Callable[[], Any]) -> Any:
    """``call()``; a lost connection becomes ``Lost``, and the pool starts anew."""
    try:
        return call()
    except Exception as error:
        if not is_transient(error):
            raise
        session.dispose()
        raise Lost from error


class Node:
    """One worker: a parent with a stable name, and a child that runs parts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start()

    def start(self) -> None:
        """A new start of the whole worker: what the killed one had begun is excused."""
        self.worker = Worker(self.name, uuid4())
        with autocommit() as connection:
            attempts.excuse_earlier(connection, self.worker)
        self.respawn()

    def respawn(self) -> None:
        """A new child under the same parent: what the killed one had begun counts."""
        self.runner = Runner(self.worker)

    def run_one(self) -> bool:
        """Take and run one part."""
        with suppress(Lost):
            return bool(surviving(self.runner.run_one))
        return True

    def run_and_die(self, failpoint: str, *, whole: bool) -> bool:
        """Run one part and be killed there; the child alone or the whole worker. Whether it got there."""
        try:
            with at(failpoint, kill):
                self.runner.run_one()
        except Killed:
            self.start() if whole else self.respawn()
            return True
        return False


class Paused:
    """A worker that stands still at a failpoint, its transaction open, until it is told what to do."""

    def __init__(self, failpoint: str) -> None:
        self._node = Node(f"paused-{uuid4().hex[:6]}")
        self._there, self._go_on = threading.Event(), threading.Event()
        self._die = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, args=(failpoint,), daemon=True)
        self._thread.start()
        while not self._there.wait(0.005) and self._thread.is_alive():
            pass
        self._since = time.monotonic()

    @property
    def stands(self) -> bool:
        """Whether it reached the failpoint (there was a part to take)."""
        return self._thread.is_alive()

    @property
    def stood_too_long(self) -> bool:
        """Whether PostgreSQL may have ended its session, for standing still in a transaction."""
        limit = get_settings().db_idle_in_transaction_timeout_seconds
        return time.monotonic() - self._since > limit - _MARGIN_SECONDS

    def end(self, *, die: bool) -> None:
        """Let it go on, or kill it where it stands."""
        self._die = die
        self._go_on.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "a worker that was let go does not end"
        if self.error is not None:
            raise self.error

    def _work(self, failpoint: str) -> None:
        def stand() -> None:
            self._there.set()
            self._go_on.wait(PATIENCE_SECONDS * 3)
            if self._die:
                raise Killed

        try:
            with at(failpoint, stand):
                self._node.runner.run_one()
        except Killed:
            pass
        except Exception as error:
            if not is_transient(error):
                self.error = error
