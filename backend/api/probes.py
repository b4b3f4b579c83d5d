"""Questions to PostgreSQL and Redis that are answered in time or not at all.

A server that stands still answers nothing and breaks nothing: whoever asks it hangs. So each question has a
thread of its own, is never asked twice at once, and is waited for only so long. The threads of requests play
no part in it: they may all hang by then.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

_threads = ThreadPoolExecutor(8, thread_name_prefix="probe")  # more than there are names
_lock = threading.Lock()
_running: dict[str, Future[Any]] = {}


def ask(name: str, call: Callable[[], Any]) -> Future[Any]:
    """Start ``call``; while one of that name still hangs, that one is waited for again."""
    with _lock:
        running = _running.get(name)
        if running is None or running.done():
            running = _running[name] = _threads.submit(call)
        return running


async def answers(patience_seconds: float, **calls: Callable[[], Any]) -> dict[str, Any]:
    """What each call returned; one that raised or took longer is missing."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # it comes after the loop's end
            loop.call_soon_threadsafe(news.set)

    asked = {name: ask(name, call) for name, call in calls.items()}
    for one in asked.values():
        one.add_done_callback(tell)
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_seconds):
            while not all(one.done() for one in asked.values()):
                await news.wait()
                news.clear()
    return {name: one.result() for name, one in asked.items() if one.done() and one.exception() is None}
