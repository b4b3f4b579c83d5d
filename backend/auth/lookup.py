"""From the text of a key to its caller, with as little work as possible for a wrong one.

* a key that this installation cannot have made is refused by its check characters, without the database;
* a made but useless key (revoked, expired, of another database) is remembered for ten seconds;
* a good key is remembered for a second, and only trusted where ``backend.auth.changes`` can be asked.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, exc, text

from backend.auth import keys
from backend.auth.store import Caller, hash_of, pepper
from backend.core.errors import Unauthenticated, Unavailable
from backend.db import session

GOOD_SECONDS = 1.0
BAD_SECONDS = 10.0
MOST_REMEMBERED = 10_000

log = logging.getLogger(__name__)


# One statement, one round trip; the hash has a unique index.
_FIND = text(
    """
    SELECT k.id, k.user_id, k.key_hash, k.scopes, k.limits, k.expires_at, u.name AS user_name,
        k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS use_is_due
    FROM api_keys k JOIN users u ON u.id = k.user_id
    WHERE k.key_hash = :hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    """
)
# At most once a minute, and never waiting for whoever holds the row.
_USED = text(
    """
    UPDATE api_keys SET last_used_at = now() WHERE id IN (
        SELECT id FROM api_keys WHERE id = :id
          AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute') FOR UPDATE SKIP LOCKED)
    """
)

_lock = threading.Lock()
_good: dict[bytes, tuple[float, Caller]] = {}
_bad: dict[bytes, float] = {}


def is_plausible(key: str) -> bool:
    """Whether this installation can have made ``key``: a few microseconds, no database."""
    return keys.is_well_formed(key, pepper())


def is_known_bad(key_hash: bytes) -> bool:
    """Whether the database refused this key within the last ten seconds. Such a key never becomes good."""
    until = _bad.get(key_hash)
    return until is not None and time.monotonic() < until


def remembered(key_hash: bytes) -> Caller | None:
    """The caller of a key that was good within the last second.

    To be used only together with a look at ``changes.mark_of(key_hash)`` that found no mark.
    """
    entry = _good.get(key_hash)
    if entry is None or time.monotonic() >= entry[0]:
        return None
    who = entry[1]
    return None if who.expires_at is not None and who.expires_at <= datetime.now(UTC) else who


def look_up(key_hash: bytes) -> Caller:
    """The caller of a key, from the database.

    Raises:
        Unauthenticated: unknown, expired or revoked.
        Unavailable: PostgreSQL cannot be reached.
    """
    asked = time.monotonic()  # what is remembered is as old as the question, not as the answer
    try:
        with session.autocommit() as connection:
            row = connection.execute(_FIND, {"hash": key_hash}).one_or_none()
            if row is not None and row.use_is_due:
                _note_use(connection, row.id)
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if session.is_down(error):
            raise Unavailable("The database is not available. Try again shortly.") from error
        raise
    if row is None or not hmac.compare_digest(bytes(row.key_hash), key_hash):
        _remember_bad(key_hash, asked + BAD_SECONDS)
        raise Unauthenticated
    who = Caller(
        user_id=row.user_id,
        key_id=row.id,
        scopes=frozenset(row.scopes),
        limits=dict(row.limits),
        user_name=row.user_name,
        expires_at=row.expires_at,
    )
    with _lock:
        if len(_good) >= MOST_REMEMBERED:
            _good.clear()
        _good[key_hash] = (asked + GOOD_SECONDS, who)
    return who


def authenticate(key: str) -> Caller:
    """The caller of a key; nothing remembered is trusted. For the command line, tests and single checks.

    Raises:
        Unauthenticated: malformed, forged, unknown, expired or revoked.
        Unavailable: PostgreSQL cannot be reached.
    """
    if not is_plausible(key):
        raise Unauthenticated
    key_hash = hash_of(key)
    if is_known_bad(key_hash):
        raise Unauthenticated
    return look_up(key_hash)


def forget(key_hash: bytes | None = None) -> None:
    """Forget one key, or everything."""
    with _lock:
        if key_hash is not None:
            _good.pop(key_hash, None)
        else:
            _good.clear()
            _bad.clear()


def _remember_bad(key_hash: bytes, until: float) -> None:
    with _lock:
        _good.pop(key_hash, None)
        if len(_bad) >= MOST_REMEMBERED:
            _bad.clear()
        _bad[key_hash] = until


def _note_use(connection: Connection, key_id: UUID) -> None:
    try:
        connection.execute(_USED, {"id": key_id})
    except exc.DBAPIError as error:  # a read-only standby, a full disk: no reason to refuse a good key
        log.warning("the use of an API key could not be noted: %s", type(error.orig).__name__)
