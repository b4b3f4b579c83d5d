"""That an operation is over, told to whoever waits for it. A help, never a need.

The end itself is in PostgreSQL, and who misses the message finds it there.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from redis import Redis
from redis.exceptions import ResponseError

from backend.db import redis_client
from backend.db.redis_client import RedisDown

CHANNEL = "extrophi:over"  # of all databases of a Redis: messages are ids, which nobody else has


def announce(operation_id: UUID) -> None:
    """Tell all API processes, after the commit. Never raises."""

    def publish(client: Redis) -> None:
        with suppress(ResponseError):  # a user of Redis who may not publish: that is not a Redis that is down
            client.publish(CHANNEL, operation_id.hex)

    with suppress(RedisDown):
        redis_client.ask(publish)
