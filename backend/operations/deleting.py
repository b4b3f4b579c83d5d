"""Delete or restore one part of ids: one owner-scoped statement, an item error for each id not found.

The same room for both, because they differ in that statement only. A part either carries ids (its
payload) or is an index range of another operation's cards (undo), where what is not there any more is
counted as skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from uuid import UUID

from backend.cards import removal
from backend.cards.removal import Changed, Target
from backend.core.ids import card_range, index_of
from backend.operations import parts
from backend.operations.store import ItemError, PartResult
from backend.operations.working import Work

Change = Callable[[Target, int], Changed]
_CARD_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def delete(work: Work) -> PartResult:
    """Delete softly (``options.soft_delete``) or for good. Idempotent: what is gone is not found again."""
    operation = work.claim.operation

    def change(target: Target, wanted: int) -> Changed:
        if operation.options.get("soft_delete", True):
            return removal.soft_delete(
                work.connection, operation.user_id, operation.id, target, wanted, work.now
            )
        return removal.hard_delete(work.connection, operation.user_id, target, wanted, work.now)

    return _run(work, "deleted", change)


def restore(work: Work) -> PartResult:
    """Undo soft deletions; only those of ``options.deleted_by`` where that is given. Never an award."""
    operation = work.claim.operation
    deleted_by = operation.options.get("deleted_by")

    def change(target: Target, wanted: int) -> Changed:
        only = UUID(deleted_by) if deleted_by else None
        return removal.restore(work.connection, operation.user_id, target, wanted, only)

    return _run(work, "restored", change)


def _run(work: Work, outcome: str, change: Change) -> PartResult:
    claim = work.claim
    if claim.payload is None:
        return _range(work, outcome, change)
    records, _ = parts.decode(claim.payload)
    result = PartResult()
    wanted: dict[str, int] = {}
    # Found by submit, over the whole request: parts run side by side.
    twice = set(claim.operation.options.get("duplicates", ()))
    values = json.loads(b"[%b]" % records.block())
    for index, value in enumerate(values, claim.first_index):
        card = value.lower() if isinstance(value, str) else ""
        if _CARD_ID.fullmatch(card) is None:
            _fail(result, index, "invalid_value", "is not a card id", records.text(index - claim.first_index))
        elif index in twice:
            _fail(
                result,
                index,
                "duplicate",
                "is already in this request",
                records.text(index - claim.first_index),
            )
        else:
            wanted[card] = index
    done = change(Target(ids=list(wanted)), len(wanted)) if wanted else Changed(0, None)
    undoing = claim.operation.options.get("undoes") is not None
    for card, index in wanted.items():
        if done.ids is None or card in done.ids:
            result.outcomes.append((index, outcome, card))
        elif undoing:  # restored or purged since: nothing is wrong
            result.skipped += 1
            result.outcomes.append((index, "skipped", card))
        else:
            _fail(result, index, "not_found", "was not found", records.text(index - claim.first_index))
    result.imported = done.count
    return result


def _range(work: Work, outcome: str, change: Change) -> PartResult:
    """The cards that one operation made, by primary-key range. Indexes are that operation's."""
    claim = work.claim
    made_by = UUID(claim.operation.options["undoes"])
    first, last = card_range(made_by, claim.first_index, claim.item_count)
    done = change(Target(first=first, last=last), claim.item_count)
    result = PartResult(imported=done.count, skipped=claim.item_count - done.count)
    if done.ids is not None:
        there = {index_of(UUID(card)) for card in done.ids}
        result.outcomes = [
            (index, "skipped", None)
            for index in range(claim.first_index, claim.first_index + claim.item_count)
            if index not in there
        ]
    return result


def _fail(result: PartResult, index: int, code: str, message: str, record: bytes) -> None:
    result.failed += 1
    result.errors.append(ItemError(index, code, message, "card_ids", None, None, record))
