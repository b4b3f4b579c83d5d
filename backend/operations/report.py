"""What an owner is told of an operation: status, lists, and what became of each item."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from backend.core.ids import card_id
from backend.operations import outcomes, store
from backend.operations.state import FINAL, State, Totals, progress, public
from backend.operations.store import Operation

_DEFAULT_OUTCOME = {"import": "created", "delete": "deleted", "restore": "restored", "export": "exported"}


def stamp(when: datetime) -> str:
    """A time as the API writes it: UTC, whole seconds, ``Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status(operation: Operation, totals: Totals | None) -> dict[str, Any]:
    """The documented status answer. Fields that do not apply are absent.

    Args:
        totals: sums over the parts; not needed once the operation is over.
    """
    answer: dict[str, Any] = {"task_id": str(operation.id), "status": public(operation.state)}
    if operation.state not in FINAL:
        current = totals.processed if totals is not None else 0
        answer["progress"] = progress(current, operation.total_items)
        return answer
    if operation.error is not None:
        answer["error"] = operation.error
    if operation.result is not None:
        answer["result"] = result(operation)
    if operation.finished_at is not None:
        answer["completed_at"] = stamp(operation.finished_at)
    return answer


def result(operation: Operation) -> dict[str, Any]:
    """The stored result without what is private to the server, with the way to all of its errors."""
    shown = {name: value for name, value in (operation.result or {}).items() if name != "artifact"}
    if shown.get("cards_failed"):
        shown["errors_url"] = f"/bulk/operations/{operation.id}/errors"
    if operation.state is State.SUCCESS and operation.kind == "export":
        shown["download_url"] = f"/bulk/operations/{operation.id}/download"
    return shown


def listed(operation: Operation, totals: Totals | None) -> dict[str, Any]:
    """One line of ``/bulk/operations``: the finer state, times and where it came from.

    Without the first errors: a thousand lines with a hundred errors each would be no list any more.
    """
    line: dict[str, Any] = status(operation, totals)
    line.get("result", {}).pop("errors", None)
    line["state"] = operation.state.value
    line["kind"] = operation.kind
    line["total"] = operation.total_items
    line["created_at"] = stamp(operation.created_at)
    if operation.started_at is not None:
        line["started_at"] = stamp(operation.started_at)
    if operation.parent_id is not None:
        line["parent_id"] = str(operation.parent_id)
    if operation.options.get("dry_run"):
        line["dry_run"] = True
    return line


def current(connection: Connection, owner: UUID, operation_id: UUID) -> dict[str, Any] | None:
    """The status answer of one operation; ``None`` when the owner has none of that id."""
    operation = store.get(connection, owner, operation_id)
    if operation is None:
        return None
    totals = None if operation.state in FINAL else store.totals(connection, operation_id)
    return status(operation, totals)


def read(owner: UUID, operation_id: UUID) -> dict[str, Any] | None:
    """``current`` in one round trip, in a transaction of its own: most calls of all ask for it."""
    found = store.read_with_totals(owner, operation_id)
    return None if found is None else status(*found)


def results(connection: Connection, operation: Operation, start: int, size: int) -> list[dict[str, Any]]:
    """What became of ``size`` items from index ``start`` on, in input order.

    Items of parts that have not ended are ``pending``; those of cancelled parts ``cancelled``.
    """
    lines: list[dict[str, Any]] = []
    wanted = range(start, min(start + size, operation.total_items))
    if not wanted:
        return lines
    errors = {
        error.index: error
        for error in store.errors_page(connection, operation.id, after=start - 1, size=size)
        if error.index in wanted
    }
    for row in store.part_outcomes(connection, operation.id, index=start, parts=size):
        if row.first_index >= wanted.stop:
            break
        special = {index: (what, card) for index, what, card in outcomes.decode(_bytes(row.outcomes))}
        first = max(row.first_index, wanted.start)
        for index in range(first, min(row.first_index + row.item_count, wanted.stop)):
            lines.append(_line(operation, row.state, index, special.get(index), index in errors))
            if index in errors:
                lines[-1]["code"] = errors[index].code
    return lines


def _line(
    operation: Operation, state: str, index: int, special: tuple[str, str | None] | None, failed: bool
) -> dict[str, Any]:
    line: dict[str, Any] = {"index": index}
    card: str | None = None
    if state == "PENDING":
        line["outcome"] = "pending"
    elif state == "CANCELLED":
        line["outcome"] = "cancelled"
    elif failed or state == "FAILED":
        line["outcome"] = "failed"
    elif special is not None:
        line["outcome"], card = special
    else:
        line["outcome"] = _DEFAULT_OUTCOME[operation.kind]
        made_by = operation.options.get("undoes")
        if not operation.options.get("dry_run"):
            card = str(card_id(UUID(made_by) if made_by else operation.id, index))
    if card is not None:
        line["card_id"] = card
    return line


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def every_error(connection: Connection, operation_id: UUID) -> Iterator[store.ItemError]:
    """Every failed item in input order, a page in memory at a time."""
    after = -1
    while page := store.errors_page(connection, operation_id, after=after, size=500):
        yield from page
        after = page[-1].index
