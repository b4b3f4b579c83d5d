"""Celery's way to Redis, with a worker that hears of it when a connection breaks.

redis-py connects again by itself when a connection breaks while it reads. For the connection on which a
worker listens (remote control) that is a trap: the new one has not subscribed to anything, and the read goes
on there without a time-out, in the process that hands out all messages. Such a worker does nothing for ever.
So connections that the event loop reads break for good; the worker then connects and subscribes anew.
"""

from __future__ import annotations

from typing import Any

from kombu import transport
from kombu.transport import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class Channel(redis.Channel):
    """kombu's own, whose event loop's connections are not mended behind its back."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        if asynchronous:
            parameters["retry"] = Retry(NoBackoff(), 0)
            parameters["retry_on_timeout"] = False
        return parameters


class Transport(redis.Transport):
    """kombu's own, with these channels."""

    Channel = Channel


def install() -> None:
    """Use it for ``redis://`` and ``rediss://`` in this process. Before the first connection is made."""
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
