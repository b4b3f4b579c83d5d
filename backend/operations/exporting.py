"""Run an export: one snapshot of the owner's cards into a file that appears whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from backend.artifacts.store import ArtifactStore, new_key, open_store
from backend.cards import filters
from backend.cards.watermark import READ, taken
from backend.core.errors import Conflict
from backend.core.failpoints import hit
from backend.core.settings import get_settings
from backend.db.session import driver
from backend.operations.export_options import ExportOptions, read_options, validate_options
from backend.operations.export_stream import ExportStream

__all__ = ["Cancelled", "ExportResult", "count", "run_export", "validate_options"]
COUNT_CAP = 1_000_000


class Cancelled(Conflict):
    """The export was told to stop; nothing was stored."""

    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("Cancelled")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A finished export. ``artifact`` says where its file is; ``summary`` is the operation's result."""

    cards: int
    tombstones: int
    bytes: int
    artifact: dict[str, str]
    watermark: str
    summary: dict[str, Any] = field(repr=False)


def count(connection: Connection, owner: UUID, options: Mapping[str, Any], cap: int = COUNT_CAP) -> int:
    """How many cards an export would carry now, at most ``cap``.

    Raises:
        Gone: ``since`` is a watermark of another database.
    """
    read = read_options(options)
    mark = read.watermark()
    if mark is not None:
        row = driver(connection).execute(READ).fetchone()
        assert row is not None
        mark.check(taken(*row))
    return filters.count(connection, owner, read.filters, cap)


def run_export(
    owner: UUID,
    operation_id: UUID,
    options: Mapping[str, Any],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    store: ArtifactStore | None = None,
) -> ExportResult:
    """Write the file. Killed at any moment it leaves nothing that anybody can download.

    Idempotent: each run writes a file of its own, and only the one that the operation records is served.

    Args:
        options: what ``validate_options`` gave.
        should_stop: asked about once a second in this thread.

    Raises:
        Cancelled: ``should_stop`` said so.
        Gone: ``since`` is a watermark of another database.
        Unavailable: PostgreSQL or the artifact store does not answer. Also whatever transient error
            PostgreSQL raises: trying again can help.
    """
    began = time.monotonic()
    read = read_options(options)
    store = store or open_store()

    def tick() -> None:
        if should_stop():
            raise Cancelled

    stream = ExportStream(owner, read, width=get_settings().export_streams, tick=tick)
    hit("export.before_artifact")
    key = new_key("exports", str(owner), str(operation_id), suffix=read.suffix)
    stored = store.put(key, stream)
    hit("export.after_artifact")
    now = datetime.now(UTC)
    artifact = {
        "key": stored.key,
        "media_type": read.media_type,
        "file_name": read.file_name(now),
        "etag": stored.etag,
        "sha256": stored.sha256,
    }
    watermark = str(stream.watermark)
    summary = _summary(read, stream, stored.size, began, now) | {
        "sha256": stored.sha256,
        "artifact": artifact,
    }
    return ExportResult(stream.cards, stream.tombstones, stored.size, artifact, watermark, summary)


def _summary(
    options: ExportOptions, stream: ExportStream, size: int, began: float, now: datetime
) -> dict[str, Any]:
    expires = now + timedelta(seconds=get_settings().artifact_retention_seconds)
    summary: dict[str, Any] = {
        "cards_exported": stream.cards,
        "export_format": options.format,
        "file_size_bytes": size,
        "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "watermark": stream.watermark,
        "duration_seconds": round(time.monotonic() - began, 3),
    }
    if options.compression is not None:
        summary["compression"] = options.compression
    if options.since is not None:
        summary["tombstones"] = stream.tombstones
    return summary
