"""The scripted server, and both clients behind one face: every test here runs on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.client.asynchronous import AsyncClient
from backend.client.retries import RetryPolicy
from backend.client.sync import Client
from backend.tests.client.server import Script, serving

KEY = "extro_live_test"
QUICK = RetryPolicy(attempts=5, first_seconds=0.01, most_seconds=0.05, longest_retry_after=2)


@pytest.fixture
def server() -> Iterator[Script]:
    with serving() as script:
        yield script


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, server: Script) -> Callable[..., Any]:
    """``call("status", "t-1")``: the result, or the list of what an iterating call gives."""

    def of_sync(name: str, *args: Any, **kwargs: Any) -> Any:
        with Client(server.url, KEY, retry=QUICK, timeout=2) as client:
            result = getattr(client, name)(*args, **kwargs)
            return list(result) if hasattr(result, "__next__") else result

    def of_async(name: str, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(server.url, KEY, retry=QUICK, timeout=2) as client:
                result = getattr(client, name)(*args, **kwargs)
                return [one async for one in result] if hasattr(result, "__anext__") else await result

        return asyncio.run(run())

    return of_sync if request.param == "sync" else of_async
