"""One answer per (owner, Idempotency-Key) for a day, decided by the submission's own transaction."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.errors import IdempotencyMismatch, Unavailable
from backend.core.settings import get_settings

_FIND = text(
    """
    SELECT request_hash, status, response FROM idempotency_keys
    WHERE user_id = :owner AND key = :key AND created_at >= now() - make_interval(secs => :kept)
    """
)
# Blocks while an equal request that came first has not committed. A row out of its time is taken over.
_CLAIM = text(
    """
    INSERT INTO idempotency_keys AS k (user_id, key, request_hash, status, response)
    VALUES (:owner, :key, :hash, 0, '{}')
    ON CONFLICT (user_id, key) DO UPDATE SET request_hash = excluded.request_hash, status = 0,
        response = '{}', created_at = now()
    WHERE k.created_at < now() - make_interval(secs => :kept)
    RETURNING 1
    """
)
_ANSWER = text(
    """
    UPDATE idempotency_keys SET status = :status, response = CAST(:response AS jsonb)
    WHERE user_id = :owner AND key = :key
    """
)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request that names itself: its key, and a hash over everything that it asks for."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told: HTTP-shaped, because it is given again as it was.

    ``runners``: how many of them have something to do for a new operation.
    """

    status: int
    body: dict[str, Any]
    replayed: bool = False
    runners: int = 1


_guard = threading.Lock()
_turns: dict[tuple[UUID, str], threading.Lock] = {}
_users: Counter[tuple[UUID, str]] = Counter()


@contextmanager
def in_turn(owner: UUID, request: Repeatable | None) -> Iterator[None]:
    """Requests of this process with one key one after another, before they take a connection.

    PostgreSQL decides which of them is accepted, whatever process they reach. But those that wait there hold
    a connection each, and many of them at once would leave none to anybody else.

    Raises:
        Unavailable: an equal request takes longer than waiting for a lock may.
    """
    if request is None:
        yield
        return
    name = owner, request.key
    with _guard:
        turn = _turns.setdefault(name, threading.Lock())
        _users[name] += 1
    try:
        if not turn.acquire(timeout=get_settings().db_lock_timeout_seconds):
            raise Unavailable("A request with this Idempotency-Key is being accepted. Try again shortly.")
        try:
            yield
        finally:
            turn.release()
    finally:
        with _guard:
            _users[name] -= 1
            if not _users[name]:
                del _turns[name], _users[name]


def find(connection: Connection, owner: UUID, request: Repeatable, kept_seconds: int) -> Answer | None:
    """The first answer to an equal request.

    Raises:
        IdempotencyMismatch: the key was used with a different request.
    """
    values = {"owner": owner, "key": request.key, "kept": kept_seconds}
    row = connection.execute(_FIND, values).one_or_none()
    if row is None:
        return None
    if bytes(row.request_hash) != request.request_hash:
        raise IdempotencyMismatch("This Idempotency-Key was used with a different request")
    return Answer(row.status, row.response, replayed=True)


def claim(connection: Connection, owner: UUID, request: Repeatable, kept_seconds: int) -> Answer | None:
    """Take the key in this transaction; the earlier answer when it is taken already.

    Raises:
        IdempotencyMismatch: the key was used with a different request.
    """
    values = {"owner": owner, "key": request.key, "hash": request.request_hash, "kept": kept_seconds}
    if connection.execute(_CLAIM, values).one_or_none() is not None:
        return None
    return find(connection, owner, request, kept_seconds)


def record(connection: Connection, owner: UUID, request: Repeatable, answer: Answer) -> None:
    """Keep the answer under the claimed key, in the same transaction."""
    connection.execute(
        _ANSWER,
        {
            "owner": owner,
            "key": request.key,
            "status": answer.status,
            "response": json.dumps(answer.body),
        },
    )
