"""The audit log: who did what, when, from where. Append-only (a trigger refuses the rest).

Written in the transaction of what it reports, so that neither exists without the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, text

# Everything that is recorded. ``<kind>.<verb>``.
ACTIONS = (
    "key.create",
    "key.rotate",
    "key.revoke",
    "cards.delete",
    "cards.restore",
    "cards.export",
    "cards.share",
    "operation.undo",
    "operation.cancel",
)


class Actor(Protocol):
    """Who acts; ``backend.auth.store.Caller`` is one."""

    @property
    def user_id(self) -> UUID: ...
    @property
    def key_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    id: int
    at: datetime
    user_id: UUID | None
    api_key_id: UUID | None
    action: str
    target: str | None
    client_ip: str | None
    request_id: str | None
    detail: dict[str, Any]


_ADD = text(
    """
    INSERT INTO audit_log (user_id, api_key_id, action, target, remote_address, request_id, details)
    VALUES (:user_id, :key_id, :action, :target, :client_ip, :request_id, CAST(:detail AS jsonb))
    """
)
_PAGE = text(
    """
    SELECT id, at, user_id, api_key_id, action, target, remote_address, request_id, details FROM audit_log
    WHERE (CAST(:before AS bigint) IS NULL OR id < :before)
      AND (CAST(:user_id AS uuid) IS NULL OR user_id = :user_id)
      AND (CAST(:action AS text) IS NULL OR action = :action)
      AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
    ORDER BY id DESC LIMIT :size
    """
)


def record(
    connection: Connection,
    who: Actor | None,
    action: str,
    target: str | UUID | None = None,
    client_ip: str | None = None,
    detail: dict[str, Any] | None = None,
    *,
    request_id: str | None = None,
) -> None:
    """Add a line.

    Args:
        connection: the unit of work of what is reported.
        who: the caller; None: an operator, through the command line.
        action: one of ``ACTIONS``.
        target: the id of what it was done to.
        client_ip: where the request came from.
        detail: further facts, JSON-able; never secrets, never text of cards.
        request_id: the request's id, where there is one.

    Raises:
        ValueError: for an action that is not in ``ACTIONS``.
    """
    if action not in ACTIONS:
        raise ValueError(f"unknown audit action {action}")
    connection.execute(
        _ADD,
        {
            "user_id": None if who is None else who.user_id,
            "key_id": None if who is None else who.key_id,
            "action": action,
            "target": None if target is None else str(target),
            "client_ip": client_ip,
            "request_id": request_id,
            "detail": json.dumps(detail or {}),
        },
    )


def page(
    connection: Connection,
    *,
    before: int | None = None,
    size: int = 100,
    user_id: UUID | None = None,
    action: str | None = None,
    since: datetime | None = None,
) -> list[Entry]:
    """The log of the whole installation, newest first. ``before``: the last id seen."""
    rows = connection.execute(
        _PAGE, {"before": before, "size": size, "user_id": user_id, "action": action, "since": since}
    )
    return [
        Entry(
            id=row.id,
            at=row.at,
            user_id=row.user_id,
            api_key_id=row.api_key_id,
            action=row.action,
            target=row.target,
            client_ip=row.remote_address,
            request_id=row.request_id,
            detail=dict(row.details),
        )
        for row in rows
    ]
