"""The first API key: made for user ``demo`` on first start, kept in the data folder, read back later."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from backend.auth import store
from backend.db.session import autocommit
from backend.embedded.secrets import write_private

USER = "demo"
FILE = "secrets/demo_key.json"


def demo_key(data_dir: Path) -> tuple[str, bool]:
    """The key, and whether it was made just now.

    A kept key whose row is gone, revoked or belongs to another secret (another database was given, say) is
    replaced by a fresh one.
    """
    path = data_dir / FILE
    kept = _read(path)
    if kept is not None and _is_valid(*kept):
        return kept[1], False
    user_id = store.create_user(USER)
    made = store.create_key(user_id, "first key")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps({"id": str(made.id), "key": made.key}) + "\n")
    return made.key, True


def _read(path: Path) -> tuple[UUID, str] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return UUID(kept["id"]), str(kept["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_valid(key_id: UUID, key: str) -> bool:
    query = text(
        "SELECT key_hash FROM api_keys WHERE id = :id AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > now())"
    )
    with autocommit() as connection:
        stored = connection.execute(query, {"id": key_id}).scalar()
    return stored is not None and bytes(stored) == store.hash_of(key)
