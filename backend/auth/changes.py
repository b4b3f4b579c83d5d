"""Telling every process that a key changed, before the request that changed it is answered.

Processes remember a good key for a second (``backend.auth.lookup``). Whoever revokes or rotates a key puts a
mark for it into Redis after the commit; every request of a remembered key looks for that mark in the same
round trip that counts its rate, and asks the database again when it is there. So a revoked key is refused
everywhere from the moment that the revocation is answered. Without Redis nothing remembered is trusted.
"""

from __future__ import annotations

import logging

from redis import Redis

from backend.db.redis_client import RedisDown, ask

# Far longer than a process remembers a key, a stopped one that wakes up included.
MARK_SECONDS = 60

log = logging.getLogger(__name__)


def mark_of(key_hash: bytes) -> str:
    """The name of a key's mark in Redis."""
    return f"extrophi:key-changed:{key_hash[:16].hex()}"


def announce(key_hash: bytes) -> bool:
    """Mark a key as changed; call it after the commit. False when Redis did not answer.

    Then a process that still reaches Redis may accept the key until its memory of it is over (1 s).
    """
    name = mark_of(key_hash)

    def put(client: Redis) -> None:
        client.set(name, b"1", ex=MARK_SECONDS)

    try:
        ask(put)
    except RedisDown:
        log.warning("Redis is down: a changed API key is noticed everywhere within a second, not at once")
        return False
    return True
