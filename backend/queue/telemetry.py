"""How the queue is: workers that gave a sign of life, messages that wait, what Redis uses.

Workers note a sign of life in a sorted set every two seconds. Counting it takes one round trip, where
asking all workers (``inspect``) takes more than a second and mistakes a slow answer for none.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery.signals import heartbeat_sent, worker_ready, worker_shutdown
from redis import Redis

from backend.core.settings import get_settings
from backend.db import redis_client
from backend.db.redis_client import RedisDown
from backend.queue.celery_app import app

WORKERS = "extrophi:workers"  # member: node name, score: Unix time of its last sign of life
ALIVE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages waiting, workers alive, bytes that Redis uses."""

    length: int
    workers: int
    memory_bytes: int


def workers_alive() -> int:
    """Worker parents that gave a sign of life lately.

    Raises:
        RedisDown: when Redis does not answer in time.
    """
    since = time.time() - ALIVE_SECONDS
    return int(redis_client.ask(lambda client: client.zcount(WORKERS, since, "+inf")))


def worker_names() -> list[str]:
    """The names of those, sorted. Raises ``RedisDown`` as well."""
    since = time.time() - ALIVE_SECONDS
    names: Any = redis_client.ask(lambda client: client.zrangebyscore(WORKERS, since, "+inf"))
    return sorted(name.decode() if isinstance(name, bytes) else name for name in names)


def queue_length() -> int:
    """Messages at the broker that no worker has taken yet. Raises ``RedisDown`` as well."""
    name = app.conf.task_default_queue
    return int(redis_client.ask(lambda client: client.llen(name), get_settings().broker_url))


def queue() -> Queue:
    """The queue: its messages are the broker's, its workers are noted in REDIS_URL's Redis.

    Raises:
        RedisDown: when Redis does not answer in time.
    """

    def read(client: Redis) -> list[Any]:
        with client.pipeline(transaction=False) as pipe:
            pipe.llen(app.conf.task_default_queue)
            pipe.info("memory")
            return list(pipe.execute())

    length, memory = redis_client.ask(read, get_settings().broker_url)
    return Queue(int(length), workers_alive(), int(memory["used_memory"]))


def _note(sender: Any) -> None:
    node = str(getattr(sender, "hostname", None) or getattr(sender, "name", None) or "worker")
    now = time.time()

    def write(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.zadd(WORKERS, {node: now})
            pipe.zremrangebyscore(WORKERS, "-inf", now - 3_600)
            pipe.execute()

    with suppress(RedisDown):  # the next sign of life is two seconds away
        redis_client.ask(write)


@worker_ready.connect
def _ready(sender: Any = None, **_: Any) -> None:
    _note(sender)


@heartbeat_sent.connect
def _beats(sender: Any = None, **_: Any) -> None:
    _note(getattr(sender, "eventer", sender))


@worker_shutdown.connect
def _gone(sender: Any = None, **_: Any) -> None:
    node = str(getattr(sender, "hostname", "worker"))
    with suppress(RedisDown):
        redis_client.ask(lambda client: client.zrem(WORKERS, node))
