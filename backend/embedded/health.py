"""Waiting until a fresh stack is healthy."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from backend.core.errors import Unavailable
from backend.embedded.child import Child

_STARTS_ALLOWED = 3


def await_healthy(
    url: str, workers: int, children: Sequence[Child], patience_seconds: float, tend: Callable[[], None]
) -> None:
    """Wait until ``/bulk/health`` counts ``workers`` workers (any answer will do when that is 0).

    Args:
        tend: starts again what died meanwhile.

    Raises:
        Unavailable: when a process keeps dying or the time is over, with what the logs end in.
    """
    end = time.monotonic() + patience_seconds
    answer: dict[str, Any] | None = None
    while time.monotonic() < end:
        for child in children:
            if child.starts >= _STARTS_ALLOWED and child.ended() is not None:
                raise Unavailable(f"{child.name} does not start:\n{child.last_words()}")
        tend()
        answer = health(url)
        if answer is not None and (
            workers == 0 or (answer.get("status") == "healthy" and answer.get("worker_count", 0) >= workers)
        ):
            return
        time.sleep(0.1)
    logs = "\n".join(f"--- {child.log}\n{child.last_words(5)}" for child in children)
    raise Unavailable(f"The stack is not healthy after {patience_seconds:.0f} s: {answer}\n{logs}")


def health(url: str) -> dict[str, Any] | None:
    """The answer of ``/bulk/health``, healthy or not; None when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ours is never behind a proxy
    with suppress(OSError, ValueError):
        try:
            with opener.open(f"{url}/bulk/health", timeout=3) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        document = json.loads(body)
        return document if isinstance(document, dict) else None
    return None
