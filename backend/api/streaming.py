"""Answers whose bytes are made while they are sent, by code that is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


class StreamedResponse(StreamingResponse):
    """Sends chunks, each fetched in a thread.

    ``chunks`` is closed, and with it what it holds, however this ends: sent, failed, or the reader gone. A
    reader that takes nothing for ``idle_seconds`` counts as gone.

    Args:
        first: what was fetched already, if anything.
        release: called once at the end.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        headers: Mapping[str, str],
        media_type: str,
        *,
        status: int = 200,
        first: bytes | None = None,
        idle_seconds: float,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(self._fetched(first), status, headers, media_type)
        self._chunks = chunks
        self._idle_seconds = idle_seconds
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(asyncio.ensure_future(run_in_threadpool(self._end)))

    async def _fetched(self, first: bytes | None) -> AsyncIterator[bytes]:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        chunk = await run_in_threadpool(_next, self._chunks) if first is None else first
        while chunk is not None:
            silent = loop.call_later(self._idle_seconds, task.cancel)
            try:
                yield chunk
            finally:
                silent.cancel()
            chunk = await run_in_threadpool(_next, self._chunks)

    def _end(self) -> None:
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self._release()
