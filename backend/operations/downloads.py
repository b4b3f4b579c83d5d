"""The file of a finished export: who may have it, and where it lies.

A signed URL stands in for the key: ``HMAC-SHA-256(pepper, "download" | operation id | expiry)``. Nothing is
stored for it, and nothing in it can be changed.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import text

from backend.artifacts.store import Artifact, ArtifactStore, open_store
from backend.core.errors import Conflict, Gone, NotFound
from backend.core.settings import Settings, get_settings
from backend.db.session import unit_of_work
from backend.operations import store as operations
from backend.operations.state import FINAL, State
from backend.operations.store import Operation

_FURTHEST_SECONDS = 366 * 86_400
_OWNER = text("SELECT user_id FROM operations WHERE id = :id")
_GONE = "The retention of this file is over. Export again."


@dataclass(frozen=True, slots=True)
class Download:
    """A stored export file and how to offer it."""

    store: ArtifactStore
    artifact: Artifact
    media_type: str
    file_name: str
    finished_at: datetime


def download_url(operation_id: UUID) -> str:
    """The path under which the owner downloads an export's file."""
    return f"/bulk/operations/{operation_id}/download"


def signed_download_url(operation_id: UUID, expires: int) -> str:
    """The same with a signature that stands in for the key.

    Args:
        expires: until when it works, in seconds since the epoch.
    """
    signature = _sign(get_settings(), operation_id, expires)
    return f"{download_url(operation_id)}?expires={expires}&signature={signature}"


def is_signed(operation_id: UUID, expires: str, signature: str, *, now: float | None = None) -> bool:
    """Whether a signature is ours and not over."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    moment = time.time() if now is None else now
    right = _sign(get_settings(), operation_id, int(expires))
    same = hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))
    return same and moment < int(expires) < moment + _FURTHEST_SECONDS


def find(owner: UUID | None, operation_id: UUID) -> Download:
    """The file of an export.

    Args:
        owner: who asks; ``None`` where a signature has shown that the owner gave the address away.

    Raises:
        NotFound: no such operation of this owner, or one that writes no file.
        Conflict: it is not over yet, or ended without a file.
        Gone: the file's retention is over.
        Unavailable: the artifact store does not answer.
    """
    found = _artifact_of(_operation(owner, operation_id))
    store = open_store()
    artifact = store.head(found["key"])
    if artifact is None:
        raise Gone(_GONE)
    finished = datetime.fromisoformat(found["finished_at"])
    return Download(store, artifact, found["media_type"], found["file_name"], finished)


def _operation(owner: UUID | None, operation_id: UUID) -> Operation:
    if owner is None:
        with unit_of_work() as connection:
            owner = connection.execute(_OWNER, {"id": operation_id}).scalar()
    operation = None
    if owner is not None:
        with unit_of_work(owner) as connection:
            operation = operations.get(connection, owner, operation_id)
    if operation is None:
        raise NotFound("Operation not found")
    return operation


def _artifact_of(operation: Operation) -> dict[str, str]:
    if operation.kind != "export":
        raise NotFound("This operation has no file to download")
    if operation.state not in FINAL or operation.finished_at is None:
        raise Conflict("The export is not finished yet", code="not_finished")
    artifact = (operation.result or {}).get("artifact")
    if operation.state is not State.SUCCESS or artifact is None:
        raise Conflict("The export did not succeed, so there is no file", code="no_file")
    if operation.finished_at + timedelta(seconds=get_settings().artifact_retention_seconds) < datetime.now(
        UTC
    ):
        raise Gone(_GONE)
    return {**artifact, "finished_at": operation.finished_at.isoformat()}


def _sign(settings: Settings, operation_id: UUID, expires: int) -> str:
    message = b"download\0" + operation_id.bytes + expires.to_bytes(8, "big")
    return hmac.new(settings.api_key_pepper.get_secret_value().encode(), message, sha256).hexdigest()
