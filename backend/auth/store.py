"""Users and their API keys. A key's secret exists here only while it is being made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from backend.auth import keys
from backend.auth.changes import announce
from backend.auth.scopes import DEFAULT, check_limits, check_scopes
from backend.core.errors import Conflict, InvalidRequest, NotFound
from backend.core.ids import new_id
from backend.core.settings import get_settings
from backend.db.session import unit_of_work

NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the owner of a key, and what the key may do."""

    user_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    limits: dict[str, int]
    user_name: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be shown of a key, at any time. ``state``: active, expired or revoked."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: tuple[str, ...]
    limits: dict[str, int]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_to: UUID | None

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= datetime.now(UTC) else "active"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. ``key`` is the secret: show it once, keep it nowhere."""

    info: KeyInfo
    key: str = field(repr=False)

    @property
    def id(self) -> UUID:
        return self.info.id

    @property
    def prefix(self) -> str:
        return self.info.prefix


COLUMNS = (
    "id, user_id, name, prefix, last_four, scopes, limits, created_at, expires_at, revoked_at, "
    "last_used_at, rotated_to"
)
_ADD_USER = text(
    "INSERT INTO users (id, name) VALUES (:id, :name) ON CONFLICT (name) DO NOTHING RETURNING id"
)
_FIND_USER = text("SELECT id FROM users WHERE name = :name")
_ADD = text(
    f"""
    INSERT INTO api_keys (id, user_id, name, prefix, last_four, key_hash, scopes, limits, expires_at)
    VALUES (:id, :user_id, :name, :prefix, :last_four, :key_hash, :scopes, CAST(:limits AS jsonb),
            :expires_at)
    RETURNING {COLUMNS}
    """  # noqa: S608 - constant
)
_COUNT = text(
    """
    SELECT count(*) FROM api_keys WHERE user_id = :owner AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > now())
    """
)
_LOCK_OWNER = text("SELECT pg_advisory_xact_lock(hashtextextended('api_keys:' || :owner, 0))")
_GET = text(f"SELECT {COLUMNS} FROM api_keys WHERE id = :id AND user_id = :owner")  # noqa: S608 - constant
_PURGE = text(
    """
    DELETE FROM api_keys WHERE id IN (
        SELECT id FROM api_keys WHERE least(revoked_at, expires_at) < now() - make_interval(secs => :kept)
        LIMIT :most)
    """
)
_FIND_KEY = text(f"SELECT {COLUMNS} FROM api_keys WHERE id = :id")  # noqa: S608 - constant
_LIST = text(
    f"""
    SELECT {COLUMNS} FROM api_keys
    WHERE user_id = :owner AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :size
    """  # noqa: S608 - constant
)
_REVOKE = text(
    """
    WITH found AS (SELECT id, key_hash FROM api_keys WHERE id = :id AND user_id = :owner FOR UPDATE),
    changed AS (
        UPDATE api_keys SET revoked_at = now() WHERE id IN (SELECT id FROM found) AND revoked_at IS NULL
        RETURNING id)
    SELECT key_hash, EXISTS (SELECT FROM changed) AS is_news FROM found
    """
)


def pepper() -> bytes:
    """The HMAC key of this installation's API keys."""
    return get_settings().api_key_pepper.get_secret_value().encode()


def hash_of(key: str) -> bytes:
    """The 32 bytes that the database keeps of ``key``."""
    return keys.hash_of(key, pepper())


def create_user(name: str) -> UUID:
    """The user of that name, made when there is none.

    Raises:
        InvalidRequest: when the name is empty, longer than 200 characters or holds control characters.
    """
    name = check_name(name, "user")
    with unit_of_work() as connection:
        made: UUID | None = connection.execute(_ADD_USER, {"id": new_id(), "name": name}).scalar()
        return made or UUID(str(connection.execute(_FIND_USER, {"name": name}).scalar_one()))


def find_user(name: str) -> UUID:
    """The user of that name.

    Raises:
        NotFound: when there is none.
    """
    with unit_of_work() as connection:
        found: UUID | None = connection.execute(_FIND_USER, {"name": name}).scalar()
    if found is None:
        raise NotFound("There is no such user")
    return found


def create_key(
    user_id: UUID,
    name: str,
    scopes: Iterable[str] = DEFAULT,
    expires_at: datetime | None = None,
    limits: dict[str, int] | None = None,
    *,
    connection: Connection | None = None,
    seed: bytes | None = None,
) -> NewKey:
    """Make a key for a user, in ``connection``'s transaction where one is given.

    Args:
        user_id: its owner.
        name: a label, 1 to 200 characters.
        scopes: what it may do; by default all but ``admin``.
        expires_at: with its offset; None: never.
        limits: overrides, see ``backend.auth.scopes.LIMITS``.
        connection: a unit of work; None: one of its own.
        seed: see ``backend.auth.keys.make``.

    Raises:
        InvalidRequest: for a name, scope, limit or time that cannot be.
        Conflict: when the owner has ``MAX_KEYS_PER_OWNER`` active keys already.
    """
    wanted = checked(user_id, name, scopes, expires_at, limits)
    if connection is not None:
        return insert(connection, wanted, seed)
    with unit_of_work() as own:
        return insert(own, wanted, seed)


def get_key(connection: Connection, owner: UUID, key_id: UUID) -> KeyInfo:
    """One key of an owner's.

    Raises:
        NotFound: unknown, or another owner's.
    """
    row = connection.execute(_GET, {"id": key_id, "owner": owner}).one_or_none()
    if row is None:
        raise NotFound("API key not found")
    return info_of(row)


def find_key(connection: Connection, key_id: UUID) -> KeyInfo:
    """A key, whoever owns it: for operators on the command line only.

    Raises:
        NotFound: unknown.
    """
    row = connection.execute(_FIND_KEY, {"id": key_id}).one_or_none()
    if row is None:
        raise NotFound("API key not found")
    return info_of(row)


def secret_of(seed: bytes) -> str:
    """The secret of the key that was made with ``seed``: for a request that was sent again."""
    return keys.make(pepper(), seed)


def list_keys(
    connection: Connection, owner: UUID, *, before: UUID | None = None, size: int = 100
) -> list[KeyInfo]:
    """An owner's keys, newest first, revoked and expired ones included. ``before``: the last id seen."""
    rows = connection.execute(_LIST, {"owner": owner, "before": before, "size": size})
    return [info_of(row) for row in rows]


def revoke(owner: UUID, key_id: UUID, *, connection: Connection | None = None) -> bytes:
    """Make a key useless; again is fine. Returns its hash, for ``changes.announce`` after the commit.

    Without ``connection`` it is committed and announced here: then no process accepts the key any more.

    Raises:
        NotFound: unknown, or another owner's.
    """
    if connection is not None:
        return _revoke(connection, owner, key_id)
    with unit_of_work() as own:
        key_hash = _revoke(own, owner, key_id)
    announce(key_hash)
    return key_hash


def purge(connection: Connection, kept_seconds: int, *, most: int = 1000) -> int:
    """Remove keys that have been revoked or expired for ``kept_seconds``; at most ``most``. How many.

    The audit log names them for ever; the list of keys need not.
    """
    return connection.execute(_PURGE, {"kept": kept_seconds, "most": most}).rowcount


def check_name(name: str, what: str = "key") -> str:
    """The name without surrounding blanks.

    Raises:
        InvalidRequest: when it is empty, longer than 200 characters or holds control characters.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise InvalidRequest(f"The {what}'s name must have 1 to {NAME_CHARACTERS} printable characters")
    return name


def checked(
    user_id: UUID,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    limits: dict[str, int] | None,
) -> dict[str, Any]:
    """The columns of a new key, as far as the caller decides them. Raises what ``create_key`` raises."""
    if expires_at is not None:
        if expires_at.tzinfo is None:
            raise InvalidRequest("expires_at needs an offset from UTC")
        if expires_at <= datetime.now(UTC):
            raise InvalidRequest("expires_at must lie in the future")
    return {
        "user_id": user_id,
        "name": check_name(name),
        "scopes": sorted(check_scopes(scopes)),
        "limits": json.dumps(check_limits(limits or {})),
        "expires_at": expires_at,
    }


def insert(
    connection: Connection, wanted: dict[str, Any], seed: bytes | None, *, replaces: int = 0
) -> NewKey:
    """Add a checked key, within the owner's number of keys; ``replaces`` of them go soon."""
    owner = wanted["user_id"]
    connection.execute(_LOCK_OWNER, {"owner": str(owner)})  # two requests cannot both take the last place
    most = get_settings().max_keys_per_owner
    if connection.execute(_COUNT, {"owner": owner}).scalar_one() - replaces >= most:
        raise Conflict(f"At most {most} active API keys per owner; revoke one first")
    key = keys.make(pepper(), seed)
    shown = {"prefix": keys.prefix_of(key), "last_four": keys.last_four_of(key), "key_hash": hash_of(key)}
    row = connection.execute(_ADD, {"id": new_id()} | wanted | shown).one()
    return NewKey(info_of(row), key)


def _revoke(connection: Connection, owner: UUID, key_id: UUID) -> bytes:
    row = connection.execute(_REVOKE, {"id": key_id, "owner": owner}).one_or_none()
    if row is None:
        raise NotFound("API key not found")
    return bytes(row.key_hash)


def info_of(row: Row[Any]) -> KeyInfo:
    """What may be shown of a row of ``api_keys``."""
    return KeyInfo(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        last_four=row.last_four,
        scopes=tuple(row.scopes),
        limits=dict(row.limits),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        rotated_to=row.rotated_to,
    )
