"""The synchronous client::

    with Client("http://localhost:8000", api_key) as client:
        operation = client.import_cards(cards)
        print(client.wait(operation.id).result)

Every call is written once, in ``backend.client.calls``; what is here only does what a call asks for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from backend.client import wire
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
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Client | None, owner: type) -> _Call[P, T] | Callable[P, T]:
        if client is None:
            return self

        @wraps(self._flow)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.run(self._flow(*args, **kwargs))

        return call


class _Stream(Generic[P, T]):
    """A method that iterates over what a flow emits."""

    def __init__(self, flow: Callable[P, wire.StreamFlow[T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Stream[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, Iterator[T]]: ...
    def __get__(self, client: Client | None, owner: type) -> _Stream[P, T] | Callable[P, Iterator[T]]:
        if client is None:
            return self

        @wraps(self._flow)
        def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return client.iterate(self._flow(*args, **kwargs))

        return call


class Client:
    """A server of the bulk API, as one owner sees it. Thread-safe; close it, or use it in ``with``.

    Args:
        url: of the server, without a path.
        api_key: ``extro_live_…``.
        retry: how patiently to try again.
        timeout: seconds without a byte before a connection counts as cut.
    """

    def __init__(
        self, url: str, api_key: str, *, retry: RetryPolicy | None = None, timeout: float = 30.0
    ) -> None:
        import httpx2

        self._target = Target(url, api_key, retry or RetryPolicy(), timeout)
        self._http = httpx2.Client(**self._target.client_options())

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

    def run(self, flow: wire.Flow[T]) -> T:
        """Do what a flow asks for until it returns."""
        exchange = _Exchange(self._http, self._target)
        try:
            effect = next(flow)
            while True:
                effect = flow.send(exchange.perform(effect))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            flow.close()
            exchange.close()

    def iterate(self, flow: wire.StreamFlow[T]) -> Iterator[T]:
        """The same for a flow that emits values on its way."""
        exchange = _Exchange(self._http, self._target)
        try:
            effect = next(flow)
            while True:
                if isinstance(effect, wire.Emit):
                    yield effect.value
                    effect = next(flow)
                else:
                    effect = flow.send(exchange.perform(effect))
        except StopIteration:
            return
        finally:
            flow.close()
            exchange.close()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._target.url!r})"


class _Exchange:
    """Performs the effects of one flow; holds its open answer."""

    def __init__(self, http: httpx2.Client, target: Target) -> None:
        self._http = http
        self._target = target
        self._open: httpx2.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def perform(self, effect: wire.Effect) -> Any:
        match effect:
            case wire.Send(request):
                return self._send(request)
            case wire.Open(request):
                return self._start(request)
            case wire.Read():
                return self._read()
            case wire.Close():
                return self.close()
            case wire.Sleep(seconds):
                return time.sleep(seconds)
            case wire.Run(work):
                return work()
            case wire.AskPolicy():
                return self._target.retry

    def _send(self, request: wire.Request) -> wire.Response | wire.Lost:
        import httpx2

        try:
            response = self._http.send(self._request(request))
        except httpx2.TransportError as error:
            return lost(error)
        return head(response, response.content)

    def _start(self, request: wire.Request) -> wire.Response | wire.Lost:
        import httpx2

        self.close()
        try:
            self._open = self._http.send(self._request(request), stream=True)
        except httpx2.TransportError as error:
            return lost(error)
        self._chunks = self._open.iter_raw()
        return head(self._open)

    def _read(self) -> bytes | wire.Lost:
        import httpx2

        try:
            return next(self._chunks, b"")
        except httpx2.TransportError as error:
            return lost(error)

    def _request(self, request: wire.Request) -> httpx2.Request:
        body = request.body
        return self._http.build_request(
            request.method,
            self._target.absolute(request.path),
            params=dict(request.params) or None,
            headers=self._target.headers(request),
            content=None if body is None else body.open(),
            timeout=self._target.timeouts(request),
        )

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
