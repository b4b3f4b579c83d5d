"""A new key in place of an old one, with a time in which both work."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from backend.auth.scopes import require_all
from backend.auth.store import COLUMNS, NewKey, info_of, insert
from backend.core.errors import Conflict, NotFound

_OLD = text(
    f"""
    SELECT {COLUMNS}, key_hash, now() AS now FROM api_keys WHERE id = :id AND user_id = :owner FOR UPDATE
    """  # noqa: S608 - constant
)
_HAND_OVER = text(
    "UPDATE api_keys SET rotated_to = :new, expires_at = least(expires_at, :until) WHERE id = :id"
)


def rotate(
    connection: Connection,
    owner: UUID,
    key_id: UUID,
    overlap: timedelta,
    *,
    held: frozenset[str] | None = None,
    seed: bytes | None = None,
) -> tuple[NewKey, bytes]:
    """Make the new key; the old one works for ``overlap`` longer (or until it expires, if that is sooner).

    The new key has the old one's name, scopes and limits, and lives as long as the old one was made to.

    Args:
        connection: a unit of work.
        owner: whose key it is.
        key_id: the old key.
        overlap: 0 ends the old key at once.
        held: the scopes of the key that asks; it must hold those of the key that it rotates.
        seed: see ``backend.auth.keys.make``.

    Returns:
        The new key, and the old key's hash for ``changes.announce`` after the commit.

    Raises:
        NotFound: unknown, or another owner's.
        Conflict: the old key is revoked, expired or rotated already.
        Forbidden: ``held`` lacks a scope.
    """
    row = connection.execute(_OLD, {"id": key_id, "owner": owner}).one_or_none()
    if row is None:
        raise NotFound("API key not found")
    old = info_of(row)
    if held is not None:
        require_all(held, old.scopes)
    if old.state != "active" or old.rotated_to is not None:
        raise Conflict("This API key is revoked, expired or rotated already")
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    wanted = {
        "user_id": owner,
        "name": old.name,
        "scopes": list(old.scopes),
        "limits": json.dumps(old.limits),
        "expires_at": None if lifetime is None else row.now + lifetime,
    }
    new = insert(connection, wanted, seed, replaces=1)
    connection.execute(_HAND_OVER, {"id": key_id, "new": new.id, "until": row.now + overlap})
    return new, bytes(row.key_hash)
