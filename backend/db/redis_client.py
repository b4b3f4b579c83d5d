"""This process's connection to Redis for limits and key changes, where no request may wait for it.

Redis is a help, never a need: every call is bounded by ``PATIENCE_SECONDS``, and after a failure nobody asks
again for ``PAUSE_SECONDS``, so that a dead Redis costs one request in a second a tenth of a second, and the
others nothing. Celery's connections are its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from backend.core.settings import get_settings

PATIENCE_SECONDS = 0.1
PAUSE_SECONDS = 1.0

T = TypeVar("T")


class RedisDown(Exception):
    """Redis does not answer (in time), or did not a moment ago."""


class _Held:
    """The client of one process and one address, and when it last failed."""

    def __init__(self, url: str) -> None:
        self.pid = os.getpid()
        self.paused_until = 0.0
        self.client: Redis = Redis.from_url(
            url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            # A pooled connection of before a restart fails once; one more try, never after a time-out.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            health_check_interval=0,
        )


_lock = threading.Lock()
_held: dict[str, _Held] = {}  # by address: REDIS_URL's, and the broker's where that is another


def _current(url: str) -> _Held:
    held = _held.get(url)
    if held is None or held.pid != os.getpid():
        with _lock:
            held = _held.get(url)
            if held is None or held.pid != os.getpid():
                held = _held[url] = _Held(url)
    return held


def ask(call: Callable[[Redis], T], url: str | None = None) -> T:
    """``call`` with this process's client of REDIS_URL, or of another address.

    Raises:
        RedisDown: when it fails or takes longer than ``PATIENCE_SECONDS``, and for ``PAUSE_SECONDS`` after.
    """
    held = _current(url or get_settings().redis_url)
    if time.monotonic() < held.paused_until:
        raise RedisDown("Redis did not answer a moment ago")
    try:
        return call(held.client)
    except NoScriptError:
        raise  # not a failure of Redis: the caller loads its script
    except (RedisError, OSError) as error:
        held.paused_until = time.monotonic() + PAUSE_SECONDS
        raise RedisDown(type(error).__name__) from error


def run_script(sha: str, source: str, keys: list[str], arguments: list[Any]) -> Any:
    """Run a Lua script by its hash, loading it first where Redis does not know it.

    Raises:
        RedisDown: see ``ask``.
    """
    values = [*keys, *arguments]
    try:
        return ask(lambda client: client.evalsha(sha, len(keys), *values))
    except NoScriptError:
        return ask(lambda client: client.eval(source, len(keys), *values))


def forget() -> None:
    """Close the clients and forget that Redis was down. Tests call it; forks need not."""
    with _lock:
        for held in _held.values():
            if held.pid == os.getpid():
                held.client.close()
        _held.clear()
