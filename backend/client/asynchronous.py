"""The asynchronous client, call for call the synchronous one::

    async with AsyncClient("http://localhost:8000", api_key) as client:
        operation = await client.import_cards(cards)
        async for status in client.progress(operation.id):
            print(status.progress)

Runs on asyncio and trio. Files are read and written beside the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from backend.client import wire
from backend.client.bodies import Body, BytesBody
from backend.client.calls import account, imports
from backend.client.calls import download as files
from backend.client.calls import operations as ops
from backend.client.retries import RetryPolicy
from backend.client.shell import Target, head, lost

if TYPE_CHECKING:
    import httpx2

P = ParamSpec("P")
T = TypeVar("T")


class _Call(Generic[P, T]):
    """A method that runs a flow to its result."""

    def __init__(self, flow: Callable[P, wire.Flow[T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Call[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: AsyncClient | None, owner: type) -> _Call[P, T] | Callable[P, Awaitable[T]]:
        if client is None:
            return self

        @wraps(self._flow)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.run(self._flow(*args, **kwargs))

        return call


class _Stream(Generic[P, T]):
    """A method that iterates over what a flow emits."""

    def __init__(self, flow: Callable[P, wire.StreamFlow[T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Stream[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(
        self, client: AsyncClient | None, owner: type
    ) -> _Stream[P, T] | Callable[P, AsyncIterator[T]]:
        if client is None:
            return self

        @wraps(self._flow)
        def call(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return client.iterate(self._flow(*args, **kwargs))

        return call


class AsyncClient:
    """As ``backend.client.sync.Client``, to be awaited. Close it, or use it in ``async with``."""

    def __init__(
        self, url: str, api_key: str, *, retry: RetryPolicy | None = None, timeout: float = 30.0
    ) -> None:
        import httpx2

        self._target = Target(url, api_key, retry or RetryPolicy(), timeout)
        self._http = httpx2.AsyncClient(**self._target.client_options())

    import_cards = _Call(imports.import_cards)
    import_file = _Call(imports.import_file)
    preview = _Call(imports.preview)
    presets = _Call(imports.presets)
    export = _Call(ops.export)
    delete = _Call(ops.delete)
    restore = _Call(ops.restore)
    status = _Call(ops.status)
    wait = _Call(ops.wait)
    progress = _Stream(ops.progress)
    cancel = _Call(ops.cancel)
    retry = _Call(ops.retry)
    undo = _Call(ops.undo)
    operations = _Stream(ops.list_all)
    errors = _Stream(ops.errors)
    results = _Stream(ops.results)
    download = _Call(files.download)
    download_errors = _Call(files.download_errors)
    balance = _Call(account.balance)
    ledger = _Stream(account.ledger)
    keys = _Stream(account.keys)
    create_key = _Call(account.create_key)
    revoke_key = _Call(account.revoke_key)
    health = _Call(account.health)

    async def run(self, flow: wire.Flow[T]) -> T:
        """Do what a flow asks for until it returns."""
        exchange = _Exchange(self._http, self._target)
        try:
            effect = next(flow)
            while True:
                effect = flow.send(await exchange.perform(effect))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            flow.close()
            await exchange.close()

    async def iterate(self, flow: wire.StreamFlow[T]) -> AsyncIterator[T]:
        """The same for a flow that emits values on its way."""
        exchange = _Exchange(self._http, self._target)
        try:
            effect = next(flow)
            while True:
                if isinstance(effect, wire.Emit):
                    yield effect.value
                    effect = next(flow)
                else:
                    effect = flow.send(await exchange.perform(effect))
        except StopIteration:
            return
        finally:
            flow.close()
            await exchange.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._target.url!r})"


class _Exchange:
    """Performs the effects of one flow; holds its open answer."""

    def __init__(self, http: httpx2.AsyncClient, target: Target) -> None:
        self._http = http
        self._target = target
        self._open: httpx2.Response | None = None
        self._chunks: AsyncIterator[bytes] = _nothing()

    async def perform(self, effect: wire.Effect) -> Any:
        import anyio
        import anyio.to_thread

        match effect:
            case wire.Send(request):
                return await self._send(request)
            case wire.Open(request):
                return await self._start(request)
            case wire.Read():
                return await self._read()
            case wire.Close():
                return await self.close()
            case wire.Sleep(seconds):
                return await anyio.sleep(seconds)
            case wire.Run(work):
                return await anyio.to_thread.run_sync(work)
            case wire.AskPolicy():
                return self._target.retry

    async def _send(self, request: wire.Request) -> wire.Response | wire.Lost:
        import httpx2

        try:
            response = await self._http.send(self._request(request))
        except httpx2.TransportError as error:
            return lost(error)
        return head(response, response.content)

    async def _start(self, request: wire.Request) -> wire.Response | wire.Lost:
        import httpx2

        await self.close()
        try:
            self._open = await self._http.send(self._request(request), stream=True)
        except httpx2.TransportError as error:
            return lost(error)
        self._chunks = self._open.aiter_raw()
        return head(self._open)

    async def _read(self) -> bytes | wire.Lost:
        import httpx2

        try:
            return await anext(self._chunks, b"")
        except httpx2.TransportError as error:
            return lost(error)

    def _request(self, request: wire.Request) -> httpx2.Request:
        body = request.body
        return self._http.build_request(
            request.method,
            self._target.absolute(request.path),
            params=dict(request.params) or None,
            headers=self._target.headers(request),
            content=None if body is None else _sent(body),
            timeout=self._target.timeouts(request),
        )

    async def close(self) -> None:
        if self._open is not None:
            await self._open.aclose()
            self._open = None


async def _sent(body: Body) -> AsyncIterator[bytes]:
    """A body's bytes; files are read in a thread."""
    from anyio.to_thread import run_sync

    if isinstance(body, BytesBody):
        yield body.data
        return
    chunks = body.open()
    while chunk := await run_sync(next, chunks, b""):
        yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
