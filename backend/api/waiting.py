"""``?wait=``: answer when an operation is over.

Workers announce each end through Redis. One query per tick, for all who wait in this process, finds what was
announced before somebody listened, or not at all: at ticks of a second while Redis is heard, of 20 to
110 ms while it is not.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from backend.core.settings import get_settings
from backend.db.session import autocommit
from backend.operations.news import CHANNEL

LONGEST_SECONDS = 60.0
HEARD_TICK_SECONDS = 1.0
_SHORTEST_TICK_SECONDS = 0.01
_LONGEST_TICK_SECONDS = 0.1
_LATE = 0.05  # an answer comes at most so much later, as a part of what was waited
_CONNECT_SECONDS = 2.0
_PAUSE_SECONDS = 1.0  # before Redis is tried again
_AGAIN_SECONDS = 0.1
_OVER = text("SELECT id FROM operations WHERE id = ANY(:ids) AND finished_at IS NOT NULL")


class Waiters:
    """Everybody in this process who waits for an operation's end."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._watcher: asyncio.Task[None] | None = None  # there while anybody waits
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
        """Look into PostgreSQL, and listen, while anybody waits."""
        listener = _Listener(self._is_over, self._news.set)
        task = asyncio.create_task(listener.listen())
        try:
            while self._waiting:
                self._news.clear()
                try:
                    over = await run_in_threadpool(_over, list(self._waiting))
                except Exception:  # PostgreSQL is away: those who wait are answered by their own reading
                    over = []
                for operation_id in over:
                    self._is_over(operation_id)
                # Who is new is looked after soon, everybody else at the next tick.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._tick(listener.hears))
                    await asyncio.sleep(_SHORTEST_TICK_SECONDS)
        finally:
            self._watcher = None  # at once: who comes while the listener ends needs a watcher of his own
            await _end(task)

    def _is_over(self, operation_id: UUID) -> None:
        for event in self._waiting.pop(operation_id, ()):
            event.set()
        if not self._waiting:
            self._news.set()

    def _tick(self, heard: bool) -> float:
        if heard:
            return HEARD_TICK_SECONDS
        waited = asyncio.get_running_loop().time() - self._newest
        return min(_LONGEST_TICK_SECONDS, max(_SHORTEST_TICK_SECONDS, waited * _LATE))


class _Listener:
    """Hears what workers announce.

    Args:
        is_over: called with each operation that is said to be over.
        look: called when there is a reason to look into PostgreSQL: what ended before was not heard.
    """

    def __init__(self, is_over: Callable[[UUID], None], look: Callable[[], None]) -> None:
        self.hears = False
        self._is_over = is_over
        self._look = look

    async def listen(self) -> None:
        """Until cancelled, whatever becomes of Redis."""
        while True:
            with suppress(Exception):  # Redis is away, or refuses: ticks are short meanwhile
                await self._hear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _hear(self) -> None:
        redis = Redis.from_url(get_settings().redis_url, socket_connect_timeout=_CONNECT_SECONDS)
        async with redis, redis.pubsub() as ends:
            await ends.subscribe(CHANNEL)
            try:
                async for message in ends.listen():
                    if message["type"] == "subscribe":
                        self.hears = True
                        self._look()
                    else:
                        self._is_over(UUID(message["data"].decode()))
            finally:
                self.hears = False


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel it until it ends: redis-py takes a cancellation while it connects for a success, and goes on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_SECONDS)


def _over(ids: list[UUID]) -> list[UUID]:
    with autocommit() as connection:
        return list(connection.execute(_OVER, {"ids": ids}).scalars())


# By event loop, because a waiter belongs to the loop it waits on.
_waiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiters] = WeakKeyDictionary()


async def until_over(operation_id: UUID, seconds: float) -> None:
    """Wait for an operation's end, at most ``seconds`` (and at most a minute)."""
    await _waiters.setdefault(asyncio.get_running_loop(), Waiters()).wait(operation_id, seconds)
