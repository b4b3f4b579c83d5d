"""Delete or restore one part of ids: one owner-scoped statement, an item error for each id not found.

The same room for both, because they differ in that statement only. A part either carries ids (its
payload) or is an index range of another operation's cards (undo), where what is not there any more is
counted as skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID

from backend.cards import removal
from backend.cards.removal import Target
from backend.core.ids import card_range, index_of
from backend.operations import parts
from backend.operations.store import ItemError, PartResult
from backend.operations.working import Work

Change = Callable[[Target], set[UUID]]


def delete(work: Work) -> PartResult:
    """Delete softly (``options.soft_delete``) or for good. Idempotent: what is gone is not found again."""
    operation = work.claim.operation

    def change(target: Target) -> set[UUID]:
        if operation.options.get("soft_delete", True):
            return removal.soft_delete(work.connection, operation.user_id, operation.id, target, work.now)
        return removal.hard_delete(work.connection, operation.user_id, target, work.now)

    return _run(work, "deleted", change)


def restore(work: Work) -> PartResult:
    """Undo soft deletions; only those of ``options.deleted_by`` where that is given. Never an award."""
    operation = work.claim.operation
    deleted_by = operation.options.get("deleted_by")

    def change(target: Target) -> set[UUID]:
        only = UUID(deleted_by) if deleted_by else None
        return removal.restore(work.connection, operation.user_id, target, only)

    return _run(work, "restored", change)


def _run(work: Work, outcome: str, change: Change) -> PartResult:
    claim = work.claim
    if claim.payload is None:
        return _range(work, outcome, change)
    records, _ = parts.decode(claim.payload)
    result = PartResult()
    wanted: dict[UUID, int] = {}
    # Found by submit, over the whole request: parts run side by side.
    twice = set(claim.operation.options.get("duplicates", ()))
    for index, record in enumerate(records, claim.first_index):
        card = _read(record)
        if card is None:
            _fail(result, index, "invalid_value", "is not a card id", record)
        elif index in twice:
            _fail(result, index, "duplicate", "is already in this request", record)
        else:
            wanted[card] = index
    done = change(Target(ids=list(wanted))) if wanted else set()
    undoing = claim.operation.options.get("undoes") is not None
    for card, index in wanted.items():
        if card in done:
            result.outcomes.append((index, outcome, str(card)))
        elif undoing:  # restored or purged since: nothing is wrong
            result.skipped += 1
            result.outcomes.append((index, "skipped", str(card)))
        else:
            _fail(result, index, "not_found", "was not found", records[index - claim.first_index])
    result.imported = len(done)
    result.outcomes.sort()
    return result


def _range(work: Work, outcome: str, change: Change) -> PartResult:
    """The cards that one operation made, by primary-key range. Indexes are that operation's."""
    claim = work.claim
    made_by = UUID(claim.operation.options["undoes"])
    first, last = card_range(made_by, claim.first_index, claim.item_count)
    done = change(Target(first=first, last=last))
    result = PartResult(imported=len(done), skipped=claim.item_count - len(done))
    if result.skipped:
        there = {index_of(card) for card in done}
        result.outcomes = [
            (index, "skipped", None)
            for index in range(claim.first_index, claim.first_index + claim.item_count)
            if index not in there
        ]
    return result


def _read(record: bytes) -> UUID | None:
    value = json.loads(record)
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _fail(result: PartResult, index: int, code: str, message: str, record: bytes) -> None:
    result.failed += 1
    result.errors.append(ItemError(index, code, message, "card_ids", None, None, record))
