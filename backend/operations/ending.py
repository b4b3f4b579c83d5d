"""How a part ends: done with its counts, failed with a reason, or cancelled; one statement each."""

from __future__ import annotations

import json
import time
from uuid import UUID

from sqlalchemy import Connection, text

from backend.db.session import execute
from backend.operations import outcomes, parts, store
from backend.operations.claiming import Claim
from backend.operations.store import ItemError, PartResult
from backend.operations.working import Interrupted

_DONE = """
    UPDATE operation_parts SET state = 'DONE', item_count = %(items)s, imported = %(imported)s,
        updated = %(updated)s, skipped = %(skipped)s, failed = %(failed)s, published = %(published)s,
        awarded = %(awarded)s, duration_ms = %(milliseconds)s, outcomes = %(outcomes)s, error = %(summary)s,
        payload = NULL, next_attempt_at = NULL, finished_at = clock_timestamp()
    WHERE operation_id = %(id)s AND part_no = %(part)s AND state = 'PENDING'
    RETURNING NOT EXISTS (SELECT FROM operation_parts
                          WHERE operation_id = %(id)s AND part_no <> %(part)s AND state = 'PENDING')
    """
_FAILED = text(
    """
    UPDATE operation_parts SET state = 'FAILED', failed = item_count, error = :reason,
        payload = CASE WHEN :recorded THEN NULL ELSE payload END,
        next_attempt_at = NULL, finished_at = clock_timestamp()
    WHERE operation_id = :id AND part_no = :part AND state = 'PENDING'
    """
)
# What runs holds its row lock and is left to finish.
_CANCEL_PARTS = text(
    """
    WITH waiting AS (
        SELECT operation_id, part_no FROM operation_parts
        WHERE operation_id = :id AND state = 'PENDING' FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE operation_parts p SET state = 'CANCELLED', payload = NULL, next_attempt_at = NULL,
        finished_at = now()
    FROM waiting WHERE p.operation_id = waiting.operation_id AND p.part_no = waiting.part_no
    """
)
PART_FAILED = "part_failed"


def done(connection: Connection, claim: Claim, result: PartResult, began: float) -> bool:
    """Record item errors and counts, in the part's own transaction. ``began``: ``time.monotonic()``.

    Returns:
        Whether no other part is pending: the operation is over once this is committed. When the last two
        parts end at the same time, neither sees it.

    Raises:
        Interrupted: somebody else has ended the part; possible only where its row lock went with a
            savepoint. Nothing of the transaction may stay then.
    """
    operation: UUID = claim.operation.id
    store.insert_errors(connection, operation, result.errors)
    ended = execute(
        connection,
        _DONE,
        {
            "id": operation,
            "part": claim.number,
            "items": claim.item_count if result.item_count is None else result.item_count,
            "imported": result.imported,
            "updated": result.updated,
            "skipped": result.skipped,
            "failed": result.failed,
            "published": result.published,
            "awarded": result.awarded,
            "milliseconds": round((time.monotonic() - began) * 1000),
            "outcomes": outcomes.encode(result.outcomes),
            "summary": None if result.summary is None else json.dumps(result.summary),
        },
    )
    row = ended.fetchone()
    if row is None:
        raise Interrupted
    return bool(row[0])


def failed(connection: Connection, claim: Claim, reason: str, *, record_items: bool = True) -> None:
    """Give a part up: each of its items becomes an item error, so that ``/errors`` and retry have it.

    Args:
        record_items: ``False`` when even reading the payload may be what kills; the payload stays then.
    """
    recorded = record_items and claim.payload is not None
    if recorded and claim.payload is not None:
        records, rows = parts.decode(claim.payload)
        errors = [
            ItemError(
                claim.first_index + offset,
                PART_FAILED,
                "was not processed: its part failed",
                row=rows[offset] if rows else None,
                record=record,
            )
            for offset, record in enumerate(records.split())
        ]
        store.insert_errors(connection, claim.operation.id, errors)
    connection.execute(
        _FAILED,
        {"id": claim.operation.id, "part": claim.number, "reason": reason, "recorded": recorded},
    )


def cancel_waiting_parts(connection: Connection, operation_id: UUID) -> None:
    """Cancel every part of a cancelled operation that nobody runs."""
    connection.execute(_CANCEL_PARTS, {"id": operation_id})
