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

from backend.db.arrays import uuid_array


@dataclass(frozen=True, slots=True)
class Target:
    """Which cards: a list of different ids, or an inclusive id range (the cards one operation made)."""

    ids: Sequence[UUID | str] | None = None
    first: UUID | None = None
    last: UUID | None = None

    @property
    def where(self) -> str:
        return "id = ANY(CAST(:ids AS uuid[]))" if self.ids is not None else "id BETWEEN :first AND :last"

    @property
    def values(self) -> dict[str, Any]:
        # Sorted, so that two deletions of the same cards lock them in the same order.
        if self.ids is not None:
            return {"ids": uuid_array(sorted(map(str, self.ids)))}
        return {"first": self.first, "last": self.last}


@dataclass(frozen=True, slots=True)
class Changed:
    """How many cards a statement changed, and which; ``ids`` is ``None`` when it was all that were wanted."""

    count: int
    ids: frozenset[str] | None


# IS TRUE keeps the owner from being looked up in an index: cards are found by their ids. A planner that has
# not heard of the owner yet takes his cards for one, and would read all of them for every part.
_SOFT = """
    WITH changed AS (UPDATE cards SET
        deleted_at = :now, is_published = false, published_url = NULL,
        deletion = jsonb_build_object('operation', CAST(:operation AS text), 'published_url', published_url)
            || CASE WHEN metadata ? 'deleted'
               THEN jsonb_build_object('metadata', metadata -> 'deleted') ELSE '{{}}'::jsonb END,
        metadata = metadata || '{{"deleted": true}}'::jsonb,
        changed_xid = pg_current_xact_id()
    WHERE {where} AND (user_id = :owner) IS TRUE AND deleted_at IS NULL RETURNING id)
"""
_HARD = """
    WITH gone AS (DELETE FROM cards WHERE {where} AND (user_id = :owner) IS TRUE
        RETURNING user_id, id, external_id),
    changed AS (INSERT INTO card_tombstones (user_id, card_id, external_id, deleted_at)
        SELECT user_id, id, external_id, :now FROM gone RETURNING card_id AS id)
"""
_RESTORE = """
    WITH changed AS (UPDATE cards SET
        deleted_at = NULL, deletion = NULL,
        published_url = deletion ->> 'published_url',
        is_published = deletion ->> 'published_url' IS NOT NULL,
        metadata = CASE WHEN deletion ? 'metadata'
                   THEN metadata || jsonb_build_object('deleted', deletion -> 'metadata')
                   ELSE metadata - 'deleted' END,
        changed_xid = pg_current_xact_id()
    WHERE {where} AND (user_id = :owner) IS TRUE AND deleted_at IS NOT NULL
      AND (CAST(:operation AS text) IS NULL OR deletion ->> 'operation' = CAST(:operation AS text))
    RETURNING id)
"""
# One row, whatever the number of cards: their ids only when some are missing.
_COUNT = """
    SELECT count(*) AS cards, CASE WHEN count(*) < :wanted THEN array_agg(CAST(id AS text)) END AS ids
    FROM changed
"""


def soft_delete(
    connection: Connection, owner: UUID, operation: UUID, target: Target, wanted: int, now: datetime
) -> Changed:
    """Mark cards as deleted and unpublish them: those of ``wanted`` that were living and the owner's."""
    values = {"owner": owner, "operation": str(operation), "now": now}
    return _changed(connection, _SOFT, target, wanted, values)


def hard_delete(connection: Connection, owner: UUID, target: Target, wanted: int, now: datetime) -> Changed:
    """Remove cards, softly deleted ones too, and leave a tombstone for incremental exports.

    The ledger keeps its rows. Changed are those of ``wanted`` that were there and the owner's.
    """
    return _changed(connection, _HARD, target, wanted, {"owner": owner, "now": now})


def restore(
    connection: Connection, owner: UUID, target: Target, wanted: int, deleted_by: UUID | None
) -> Changed:
    """Undo soft deletions, ``published_url`` included; never an award.

    Args:
        deleted_by: restore only what this operation deleted; any softly deleted card when ``None``.

    Returns:
        Those that came back.
    """
    operation = str(deleted_by) if deleted_by else None
    return _changed(connection, _RESTORE, target, wanted, {"owner": owner, "operation": operation})


def _changed(
    connection: Connection, statement: str, target: Target, wanted: int, values: dict[str, Any]
) -> Changed:
    query = text(statement.format(where=target.where) + _COUNT)
    row = connection.execute(query, {**values, **target.values, "wanted": wanted}).one()
    missing = row.cards < wanted
    return Changed(row.cards, frozenset(row.ids or ()) if missing else None)
