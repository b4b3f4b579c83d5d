"""Finish an operation once no part is pending: totals, result, final state. Safe to call at any time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.failpoints import hit
from backend.db.session import autocommit, unit_of_work
from backend.ledger import rewards
from backend.operations import attempts, news, store
from backend.operations.state import CANCELLED_ERROR, State, Totals, outcome
from backend.operations.store import ItemError, Operation

FIRST_ERRORS = 100

_OVER = text(
    "SELECT NOT EXISTS (SELECT 1 FROM operation_parts WHERE operation_id = :id AND state = 'PENDING')"
)
_FINISH = text(
    f"""
    WITH forgotten AS ({attempts.FORGET})
    UPDATE operations SET state = :state, result = CAST(:result AS jsonb), error = :error,
        total_items = :total, started_at = coalesce(started_at, :now), finished_at = :now
    WHERE id = :id
    """  # noqa: S608 - constants
)
_WHY = text(
    """
    SELECT part_no, first_index, item_count, error FROM operation_parts
    WHERE operation_id = :id AND state = 'FAILED' ORDER BY part_no LIMIT 1
    """
)
_SUMMARY = text(
    """
    SELECT sum(item_count) AS total, (array_agg(error ORDER BY part_no) FILTER (WHERE state = 'DONE'))[1]
        AS summary FROM operation_parts WHERE operation_id = :id
    """
)


def finish_if_over(operation_id: UUID, *, likely: bool = False) -> bool:
    """Finish the operation when its last part has ended. Any number of callers at once, in any order.

    Args:
        likely: it is known to be over, unless somebody else was quicker: not worth a look beforehand.

    Returns:
        Whether the operation is over now, by this call or by an earlier one.
    """
    if not likely:
        with autocommit() as connection:  # one round trip
            if not connection.execute(_OVER, {"id": operation_id}).scalar_one():
                return False
    with unit_of_work() as connection:
        operation = store.lock(connection, operation_id)
        if operation is None or operation.finished_at is not None:
            return True
        totals = store.totals(connection, operation_id)
        if totals.pending_parts:
            return False
        finish(connection, operation, totals)
        hit("finish.before_commit")
    hit("finish.after_commit")
    news.announce(operation_id)
    return True


def finish(connection: Connection, operation: Operation, totals: Totals) -> None:
    """Write result and final state. The caller holds the operation's row lock."""
    now = datetime.now(UTC)
    state = outcome(failed_parts=totals.failed_parts, cancelled_parts=totals.cancelled_parts)
    row = connection.execute(_SUMMARY, {"id": operation.id}).one()
    summary = json.loads(row.summary) if row.summary else {}
    error = summary.pop("error", None)
    if error is not None:
        state = State.FAILURE
    elif state is State.CANCELLED:
        error = CANCELLED_ERROR
    elif state is State.FAILURE:
        error = _why(connection, operation)
    started = operation.started_at or now
    errors = store.errors_page(connection, operation.id, size=FIRST_ERRORS) if totals.failed else []
    result = _result(operation, totals, errors, summary)
    result["duration_seconds"] = round(max(0.0, (now - started).total_seconds()), 3)
    connection.execute(
        _FINISH,
        {
            "id": operation.id,
            "state": state.value,
            "result": json.dumps(result),
            "error": error,
            "total": int(row.total or 0),
            "now": now,
        },
    )


def _why(connection: Connection, operation: Operation) -> str:
    row = connection.execute(_WHY, {"id": operation.id}).one()
    noun = "ids" if operation.kind in ("delete", "restore") else "cards"
    last = row.first_index + row.item_count - 1
    where = "" if operation.kind == "export" else f" ({noun} {row.first_index}-{last})"
    return f"Part {row.part_no}{where} failed: {row.error or 'no reason recorded'}"


def _result(
    operation: Operation, totals: Totals, errors: list[ItemError], summary: dict[str, Any]
) -> dict[str, Any]:
    if operation.kind == "export":
        return summary
    if operation.kind == "import":
        result: dict[str, Any] = {
            "cards_imported": totals.imported,
            "cards_failed": totals.failed,
            "cards_published": totals.published,
            "extropy_earned": rewards.as_text(rewards.earned(totals.awarded)),
        }
        if totals.updated:
            result["cards_updated"] = totals.updated
    else:
        verb = "cards_deleted" if operation.kind == "delete" else "cards_restored"
        result = {verb: totals.imported, "cards_failed": totals.failed}
        if operation.kind == "delete":
            result["soft_delete"] = operation.options.get("soft_delete", True)
    if totals.skipped:
        result["cards_skipped"] = totals.skipped
    if operation.options.get("dry_run"):
        result["dry_run"] = True
    result["errors"] = [_error(error, operation.kind) for error in errors]
    return result | summary


def _error(error: ItemError, kind: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": error.index}
    if error.row:
        shown["row"] = error.row
    if kind == "import":
        shown["title"] = error.title
    elif error.record is not None:
        shown["card_id"] = _short(error.record)
    shown["code"] = error.code
    shown["message"] = error.message
    if error.field is not None and kind == "import":
        shown["field"] = error.field
    return shown


def _short(record: bytes) -> Any:
    value = json.loads(record)
    return value[:64] if isinstance(value, str) else None
