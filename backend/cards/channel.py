"""Bytes handed from threads that read to the one that writes, in order and in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
TICK_SECONDS = 1.0
_JOIN_SECONDS = 10.0


class Abandoned(Exception):
    """The reader has gone; the writer should stop."""


class Channel(Generic[T]):
    """One writer, one reader. ``put`` waits while ``most`` weight is waiting to be read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._over = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T, weight: int) -> None:
        """Hand an item over.

        Raises:
            Abandoned: nobody will read it.
        """
        with self._changed:
            while self._weight >= self._most and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise Abandoned
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()

    def finish(self, error: BaseException | None = None) -> None:
        """No more items; the reader raises ``error`` after the last one."""
        with self._changed:
            self._over = True
            self._error = error
            self._changed.notify_all()

    def abandon(self) -> None:
        """The reader stops reading."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def read(self, tick: Callable[[], None]) -> Iterator[T]:
        """The items until the writer has finished; ``tick`` is called about once a second meanwhile."""
        due = time.monotonic() + TICK_SECONDS
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + TICK_SECONDS
                tick()
            with self._changed:
                if not self._items and not self._over:
                    self._changed.wait(TICK_SECONDS)
                    if not self._items and not self._over:
                        continue
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield item


# Work of one thread: gives its items, with their weight, to the function it is called with.
Job = Callable[[Callable[[T, int], None]], None]


class _Running(Generic[T]):
    def __init__(self, job: Job[T], most: int) -> None:
        self.channel: Channel[T] = Channel(most)
        self._job = job
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._job(self.channel.put)
        except Abandoned:
            self.channel.finish()
        except BaseException as error:  # raised again where the items are read
            self.channel.finish(error)
        else:
            self.channel.finish()

    def end(self) -> None:
        self.channel.abandon()
        self._thread.join(_JOIN_SECONDS)  # at the interpreter's end a daemon thread never ends


def side_by_side(
    jobs: Iterator[Job[T]],
    width: int,
    most: int,
    *,
    tick: Callable[[], None] = lambda: None,
    interrupt: Callable[[], None] = lambda: None,
) -> Iterator[T]:
    """What the jobs give, job after job, while ``width`` of them work at once.

    ``jobs`` is asked for the next one only when a thread is free. On an error, or when the reader stops,
    every thread is told to stop and waited for.

    Args:
        most: weight that one job may be ahead of the reader.
        tick: called about once a second in the reader's thread; what it raises ends everything.
        interrupt: called before waiting for threads that were told to stop, to wake those that wait.
    """
    running: deque[_Running[T]] = deque()
    try:
        for job in jobs:
            running.append(_Running(job, most))
            if len(running) >= width:
                yield from running[0].channel.read(tick)
                running.popleft().end()
        while running:
            yield from running[0].channel.read(tick)
            running.popleft().end()
    finally:
        if running:
            for one in running:
                one.channel.abandon()
            interrupt()
            for one in running:
                one.end()
