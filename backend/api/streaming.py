"""Answers whose bytes are made while they are sent, by code that is not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import structlog
from starlette.concurrency import run_in_threadpool

log = structlog.get_logger(__name__)
_END = None


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, _END)


async def streamed(
    first: bytes | None, chunks: Iterator[bytes], slots: threading.Semaphore | None, *, idle_seconds: float
) -> AsyncIterator[bytes]:
    """``first``, then ``chunks``, each fetched in a thread.

    ``chunks`` is closed (and what it holds given back) however this ends: sent, failed, or the reader gone or
    silent for ``idle_seconds``, which counts as gone.

    Args:
        slots: released at the end.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    try:
        chunk = first
        while chunk is not None:
            silent = loop.call_later(idle_seconds, task.cancel)
            try:
                yield chunk
            finally:
                silent.cancel()
            chunk = await run_in_threadpool(_next, chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            await asyncio.shield(asyncio.ensure_future(run_in_threadpool(close)))
        if slots is not None:
            slots.release()
