"""What an owner can do with an operation: cancel, retry, undo. The last two make new operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.errors import Conflict, NotFound
from backend.core.failpoints import hit
from backend.core.ids import new_operation_id
from backend.core.settings import get_settings
from backend.db.session import unit_of_work
from backend.formats.base import Record, batched
from backend.operations import ending, idempotency, news, outcomes, parts, store
from backend.operations.finishing import finish
from backend.operations.idempotency import Answer, Repeatable
from backend.operations.parts import Part
from backend.operations.state import FINAL, State
from backend.operations.store import NewOperation, Operation
from backend.operations.submit import Submission, sizes, submit

_CANCEL = text("UPDATE operations SET cancel_requested_at = now() WHERE id = :id")
_KEPT_PAYLOADS = text(
    """
    SELECT first_index, item_count, payload FROM operation_parts
    WHERE operation_id = :id AND state = 'FAILED' AND payload IS NOT NULL ORDER BY part_no
    """
)
_ERRORS_AT_ONCE = 500
Audit = Callable[[Connection], None] | None


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf, with which key."""

    owner: UUID
    api_key_id: UUID | None = None


def cancel(
    caller: Caller,
    operation_id: UUID,
    request: Repeatable | None,
    answer_of: Callable[[Connection], Answer],
) -> Answer:
    """Stop after the parts in flight. What they have done stays.

    Args:
        answer_of: makes the answer, in the transaction that cancels.

    Raises:
        NotFound: unknown, or another owner's.
        Conflict: the operation is over.
    """
    kept = get_settings().idempotency_retention_seconds
    with idempotency.in_turn(caller.owner, request), unit_of_work() as connection:
        if request is not None:
            earlier = idempotency.claim(connection, caller.owner, request, kept)
            if earlier is not None:
                return earlier
        if store.get(connection, caller.owner, operation_id) is None:
            raise NotFound("Operation not found")
        operation = store.lock(connection, operation_id)
        if operation is None or operation.state in FINAL:
            raise Conflict("This operation is over and cannot be cancelled")
        connection.execute(_CANCEL, {"id": operation_id})
        ending.cancel_waiting_parts(connection, operation_id)
        totals = store.totals(connection, operation_id)
        over = not totals.pending_parts
        if over:
            finish(connection, operation, totals)
        answer = answer_of(connection)
        if request is not None:
            idempotency.record(connection, caller.owner, request, answer)
        hit("cancel.before_commit")
    hit("cancel.after_commit")
    if over:
        news.announce(operation_id)
    return answer


def retry(caller: Caller, operation_id: UUID, request: Repeatable | None) -> Answer:
    """A new operation of the items that failed, as they were sent.

    Raises:
        NotFound: unknown, or another owner's.
        Conflict: not over yet, an export that succeeded, or nothing failed.
    """
    operation = _over(caller, operation_id)
    options = {
        name: value for name, value in operation.options.items() if name not in ("dry_run", "duplicates")
    }
    if operation.options.get("dry_run"):
        raise Conflict("A dry run has nothing to retry")
    if operation.options.get("undoes"):
        raise Conflict("Undo the operation again instead")
    if operation.kind == "export":
        if operation.state is State.SUCCESS:
            raise Conflict("This export succeeded; there is nothing to retry")
        staged = [Part(0, 0, 0, None)]
    else:
        staged = list(parts.cut_stream(batched(_failed_records(operation)), sizes(get_settings())))
        if not staged:
            raise Conflict("No item of this operation failed; there is nothing to retry")
    noun = {"import": "cards", "export": "the export"}.get(operation.kind, "ids")
    message = f"Retry initiated for {noun}" if operation.kind == "export" else f"Retry of {{count}} {noun}"
    return submit(_child(caller, operation, operation.kind, options, staged, message), request)


def undo(caller: Caller, operation_id: UUID, request: Repeatable | None, audit: Audit = None) -> Answer:
    """Soft-delete exactly what an import made, or bring back exactly what a delete removed.

    Raises:
        NotFound: unknown, or another owner's.
        Conflict: not over yet, of a kind that cannot be undone, or nothing is known that it deleted.
    """
    operation = _over(caller, operation_id)
    settings = get_settings()
    if operation.kind == "import" and not operation.options.get("dry_run"):
        staged = list(parts.cut_range(operation.total_items, sizes(settings)))
        options = {"soft_delete": True, "undoes": str(operation.id)}
        new = _child(caller, operation, "delete", options, staged, "Undo initiated for {count} cards")
    elif operation.kind == "delete" and operation.options.get("soft_delete", True):
        options = {"deleted_by": str(operation.id), "undoes": str(operation.id)}
        made_by = operation.options.get("undoes")
        if made_by is not None:  # the undo of an import is undone: the same id range
            options["undoes"] = made_by
            staged = list(parts.cut_range(operation.total_items, sizes(settings)))
        else:
            staged = list(parts.cut_stream(batched(_deleted_ids(operation)), sizes(settings)))
            if not staged:
                raise Conflict("Nothing that this delete removed is known; there is nothing to undo")
        new = _child(caller, operation, "restore", options, staged, "Undo initiated for {count} cards")
    else:
        raise Conflict("Only imports and soft deletes can be undone")
    if audit is not None:
        new = Submission(new.operation, new.parts, new.message, audit=audit)
    return submit(new, request)


def _over(caller: Caller, operation_id: UUID) -> Operation:
    with unit_of_work() as connection:
        operation = store.get(connection, caller.owner, operation_id)
    if operation is None:
        raise NotFound("Operation not found")
    if operation.state not in FINAL:
        raise Conflict("This operation is not over yet")
    return operation


def _child(
    caller: Caller, parent: Operation, kind: str, options: dict[str, Any], staged: list[Part], message: str
) -> Submission:
    new = NewOperation(
        new_operation_id(),
        caller.owner,
        kind,
        parent.max_parallel if kind == parent.kind else get_settings().runners_per_operation,
        options,
        caller.api_key_id,
        parent.id,
    )
    return Submission(new, staged, message)


def _failed_records(operation: Operation) -> Iterator[Record]:
    after = -1
    with unit_of_work() as connection:
        while page := store.errors_page(connection, operation.id, after=after, size=_ERRORS_AT_ONCE):
            for error in page:
                if error.record is not None:
                    yield Record(error.record, error.row)
            after = page[-1].index
        for row in connection.execute(_KEPT_PAYLOADS, {"id": operation.id}):
            records, numbers = parts.decode(bytes(row.payload))
            for offset, record in enumerate(records.split()):
                yield Record(record, numbers[offset] if numbers else None)


def _deleted_ids(operation: Operation) -> Iterator[Record]:
    with unit_of_work() as connection:
        for row in store.part_outcomes(connection, operation.id):
            for _, outcome, card in outcomes.decode(row.outcomes and bytes(row.outcomes)):
                if outcome == "deleted" and card is not None:
                    yield Record(f'"{card}"'.encode(), None)
