"""Delete softly or for good, and bring back. One owner-scoped statement per part.

A soft delete remembers in ``deletion`` what it overwrites (the published URL, a ``deleted`` key the
caller's own metadata may have had), so that a restore gives back exactly what was there. ``updated_at``
stays: the card's content did not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Target:
    """Which cards: a list of ids, or an inclusive id range (the cards one operation made)."""

    ids: Sequence[UUID] | None = None
    first: UUID | None = None
    last: UUID | None = None

    @property
    def where(self) -> str:
        return "id = ANY(:ids)" if self.ids is not None else "id BETWEEN :first AND :last"

    @property
    def values(self) -> dict[str, Any]:
        # Sorted, so that two deletions of the same cards lock them in the same order.
        if self.ids is not None:
            return {"ids": sorted(set(self.ids))}
        return {"first": self.first, "last": self.last}


_SOFT = """
    UPDATE cards SET
        deleted_at = :now, is_published = false, published_url = NULL,
        deletion = jsonb_build_object('operation', CAST(:operation AS text), 'published_url', published_url)
            || CASE WHEN metadata ? 'deleted'
               THEN jsonb_build_object('metadata', metadata -> 'deleted') ELSE '{{}}'::jsonb END,
        metadata = metadata || '{{"deleted": true}}'::jsonb,
        changed_xid = pg_current_xact_id()
    WHERE {where} AND user_id = :owner AND deleted_at IS NULL RETURNING id
"""
_HARD = """
    WITH gone AS (DELETE FROM cards WHERE {where} AND user_id = :owner RETURNING user_id, id, external_id)
    INSERT INTO card_tombstones (user_id, card_id, external_id, deleted_at)
    SELECT user_id, id, external_id, :now FROM gone RETURNING card_id AS id
"""
_RESTORE = """
    UPDATE cards SET
        deleted_at = NULL, deletion = NULL,
        published_url = deletion ->> 'published_url',
        is_published = deletion ->> 'published_url' IS NOT NULL,
        metadata = CASE WHEN deletion ? 'metadata'
                   THEN metadata || jsonb_build_object('deleted', deletion -> 'metadata')
                   ELSE metadata - 'deleted' END,
        changed_xid = pg_current_xact_id()
    WHERE {where} AND user_id = :owner AND deleted_at IS NOT NULL
      AND (CAST(:operation AS text) IS NULL OR deletion ->> 'operation' = CAST(:operation AS text))
    RETURNING id
"""


def soft_delete(
    connection: Connection, owner: UUID, operation: UUID, target: Target, now: datetime
) -> set[UUID]:
    """Mark cards as deleted and unpublish them. Returns the ids that were living and the owner's."""
    values = {"owner": owner, "operation": str(operation), "now": now, **target.values}
    return _ids(connection, _SOFT, target, values)


def hard_delete(connection: Connection, owner: UUID, target: Target, now: datetime) -> set[UUID]:
    """Remove cards, softly deleted ones too, and leave a tombstone for incremental exports.

    The ledger keeps its rows. Returns the ids that were there and the owner's.
    """
    return _ids(connection, _HARD, target, {"owner": owner, "now": now, **target.values})


def restore(connection: Connection, owner: UUID, target: Target, deleted_by: UUID | None) -> set[UUID]:
    """Undo soft deletions, ``published_url`` included; never an award.

    Args:
        deleted_by: restore only what this operation deleted; any softly deleted card when ``None``.

    Returns:
        The ids that came back.
    """
    values = {"owner": owner, "operation": str(deleted_by) if deleted_by else None, **target.values}
    return _ids(connection, _RESTORE, target, values)


def _ids(connection: Connection, statement: str, target: Target, values: dict[str, Any]) -> set[UUID]:
    return set(connection.execute(text(statement.format(where=target.where)), values).scalars())
