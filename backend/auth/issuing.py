"""Keys that follow from something: a request that may be repeated, or an older key."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from backend.auth import keys
from backend.auth.scopes import require_all
from backend.auth.store import COLUMNS, NewKey, checked, get_key, info_of, insert, pepper
from backend.core.errors import Conflict, IdempotencyMismatch, NotFound
from backend.core.ids import new_id

_FOR_ROTATION = text(
    f"""
    SELECT {COLUMNS}, key_hash, now() AS now FROM api_keys WHERE id = :id AND user_id = :owner FOR UPDATE
    """  # noqa: S608 - constant
)
_HAND_OVER = text(
    "UPDATE api_keys SET rotated_to = :new, expires_at = least(expires_at, :until) WHERE id = :id"
)
_REMEMBER = text(
    """
    INSERT INTO idempotency_keys (user_id, key, request_hash, status, response)
    VALUES (:owner, :key, :hash, 201, CAST(:response AS jsonb)) ON CONFLICT DO NOTHING RETURNING key
    """
)
_REMEMBERED = text(
    "SELECT request_hash, response FROM idempotency_keys WHERE user_id = :owner AND key = :key"
)


def create_key_once(
    connection: Connection,
    user_id: UUID,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    limits: dict[str, int],
    *,
    idempotency_key: str,
    request_hash: bytes,
) -> tuple[NewKey, bool]:
    """``create_key`` for a request that may be sent twice: the same key, and whether it is a replay.

    The secret is not stored for that: it is derived anew from a stored random seed and the pepper.

    Raises:
        IdempotencyMismatch: when the Idempotency-Key stood on another request.
        InvalidRequest, Conflict: see ``create_key``.
    """
    wanted = checked(user_id, name, scopes, expires_at, limits)
    seed = secrets.token_bytes(32)
    wanted["id"] = new_id()
    remembered = {"seed": seed.hex(), "key_id": str(wanted["id"])}
    parameters = {"owner": user_id, "key": idempotency_key, "hash": request_hash}
    first = connection.execute(_REMEMBER, parameters | {"response": json.dumps(remembered)}).scalar()
    if first is not None:
        return insert(connection, wanted, seed), False
    row = connection.execute(_REMEMBERED, {"owner": user_id, "key": idempotency_key}).one()
    if not secrets.compare_digest(bytes(row.request_hash), request_hash) or "seed" not in row.response:
        raise IdempotencyMismatch("This Idempotency-Key was used for another request")
    info = get_key(connection, user_id, UUID(row.response["key_id"]))
    return NewKey(info, keys.make(pepper(), bytes.fromhex(row.response["seed"]))), True


def rotate(
    connection: Connection,
    owner: UUID,
    key_id: UUID,
    overlap: timedelta,
    *,
    held: frozenset[str] | None = None,
) -> tuple[NewKey, bytes]:
    """A new key in place of an old one, which works for ``overlap`` longer (or until it expires, if sooner).

    The new key has the old one's name, scopes and limits, and lives as long as the old one was made to.

    Args:
        connection: a unit of work.
        owner: whose key it is.
        key_id: the old key.
        overlap: 0 ends the old key at once.
        held: the scopes of the key that asks; it must hold those of the key that it rotates.

    Returns:
        The new key, and the old key's hash for ``changes.announce`` after the commit.

    Raises:
        NotFound: unknown, or another owner's.
        Conflict: the old key is revoked, expired or rotated already.
        Forbidden: ``held`` lacks a scope.
    """
    row = connection.execute(_FOR_ROTATION, {"id": key_id, "owner": owner}).one_or_none()
    if row is None:
        raise NotFound("There is no such API key")
    old = info_of(row)
    if held is not None:
        require_all(held, old.scopes)
    if old.state != "active" or old.rotated_to is not None:
        raise Conflict("This API key is revoked, expired or rotated already")
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    new = insert(
        connection,
        {
            "user_id": owner,
            "name": old.name,
            "scopes": list(old.scopes),
            "limits": json.dumps(old.limits),
            "expires_at": None if lifetime is None else row.now + lifetime,
        },
        secrets.token_bytes(32),
        replaces=1,
    )
    connection.execute(_HAND_OVER, {"id": key_id, "new": new.id, "until": row.now + overlap})
    return new, bytes(row.key_hash)
