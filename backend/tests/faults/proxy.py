"""A TCP proxy that cuts, delays, swallows and refuses: the network between processes and their servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

CHUNK = 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Proxy:
    """``127.0.0.1:port`` leads to ``target()`` until told otherwise. Its loop runs in a thread of its own.

    Args:
        observe: shown each chunk before it is passed on: ``observe(connection number, to server, bytes)``.

    Attributes:
        port: where it listens.
        connections: how many it has taken so far.
    """

    def __init__(
        self,
        target: Callable[[], tuple[str, int]],
        observe: Callable[[int, bool, bytes], None] = lambda connection, to_server, data: None,
    ) -> None:
        self._target = target
        self._observe = observe
        self._delay = 0.0
        self._refusing = False
        self._open = asyncio.Event()  # clear: bytes are swallowed, nobody is told
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, sock=listener, limit=CHUNK))
        self.mend()

    def cut(self) -> int:
        """Reset every connection that is open now; new ones work. Returns how many there were."""
        return self._do(self._cut())

    def refuse(self) -> None:
        """Reset every connection, and each new one at once, until ``mend()``: the server is down."""
        self._refusing = True
        self.cut()

    def swallow(self) -> None:
        """Pass nothing on and close nothing, until ``mend()``: a cable is out."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def delay(self, seconds: float) -> None:
        """Hold each chunk back this long, in both directions, until ``mend()``."""
        self._delay = seconds

    def mend(self) -> None:
        """Everything works again."""
        self._delay, self._refusing = 0.0, False
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Stop listening, reset what is open, wait until everything has ended."""
        self.mend()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    async def _cut(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            for writer in pair:
                _reset(writer)
        return len(pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        if self._refusing:
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection(*self._target(), limit=CHUNK)
        except OSError:
            _reset(writer)
            return
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, back, (number, True)), self._pump(there, writer, (number, False))
            )
        except (OSError, RuntimeError):  # one side was reset, and the other one must hear of it
            for one in pair:
                _reset(one)
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: tuple[int, bool]
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open.wait()
            self._observe(*way, data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a dead host's neighbour does."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError, RuntimeError):
        writer.transport.abort()
