"""``?wait=``: answer when an operation is over. One query per tick for all who wait in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from backend.db.session import autocommit

LONGEST_SECONDS = 60.0
_SHORTEST_TICK_SECONDS = 0.01
_LONGEST_TICK_SECONDS = 0.1
_LATE = 0.05  # an answer comes at most so much later, as a part of what was waited
_OVER = text("SELECT id FROM operations WHERE id = ANY(:ids) AND finished_at IS NOT NULL")


class Waiters:
    """Everybody in this process who waits for an operation's end."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._watcher: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._newest = 0.0  # when the last one came to wait, on the loop's clock

    async def wait(self, operation_id: UUID, seconds: float) -> None:
        """Return when the operation is over or the time is; the caller then reads the status."""
        event = asyncio.Event()
        self._waiting[operation_id].add(event)
        self._news.set()
        self._newest = asyncio.get_running_loop().time()
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            await asyncio.wait_for(event.wait(), min(seconds, LONGEST_SECONDS))
        except TimeoutError:
            pass
        finally:
            events = self._waiting.get(operation_id)
            if events is not None:
                events.discard(event)
                if not events:
                    self._waiting.pop(operation_id, None)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            self._news.clear()
            try:
                over = await run_in_threadpool(_over, list(self._waiting))
            except Exception:  # PostgreSQL is away: those who wait are answered by their own reading
                over = []
            for operation_id in over:
                for event in self._waiting.pop(operation_id, ()):
                    event.set()
            pause = (clock() - self._newest) * _LATE
            with suppress(TimeoutError):  # somebody new is looked after soon, everybody else at the next tick
                pause = min(_LONGEST_TICK_SECONDS, max(_SHORTEST_TICK_SECONDS, pause))
                await asyncio.wait_for(self._news.wait(), pause)
                await asyncio.sleep(_SHORTEST_TICK_SECONDS)


def _over(ids: list[UUID]) -> list[UUID]:
    with autocommit() as connection:
        return list(connection.execute(_OVER, {"ids": ids}).scalars())


# By event loop, because a waiter belongs to the loop it waits on.
_waiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiters] = WeakKeyDictionary()


async def until_over(operation_id: UUID, seconds: float) -> None:
    """Wait for an operation's end, at most ``seconds`` (and at most a minute)."""
    await _waiters.setdefault(asyncio.get_running_loop(), Waiters()).wait(operation_id, seconds)
