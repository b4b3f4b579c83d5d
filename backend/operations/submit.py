"""Accept an operation: one transaction for the operation, its parts and the idempotency key.

Nothing is published here; who submits wakes a worker after the commit, and the sweeper does when that
message is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.errors import RateLimited
from backend.core.failpoints import hit
from backend.core.settings import Settings, get_settings
from backend.db.session import unit_of_work
from backend.operations import idempotency, store
from backend.operations.idempotency import Answer, Repeatable
from backend.operations.parts import Part, Sizes
from backend.operations.state import State, estimate
from backend.operations.store import NewOperation

# Items a second assumed until this installation has finished its first operation of a kind.
FIRST_RATES = {"import": 5_000.0, "export": 20_000.0, "delete": 10_000.0, "restore": 10_000.0}
ACCEPTED = 202
_WAITING_RETRY_SECONDS = 5
_PARALLEL_REQUESTS = 100  # more than all API processes answer at once for one owner
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('waiting ' || :owner, 0))")


@dataclass(frozen=True, slots=True)
class Submission:
    """An operation about to be accepted.

    Attributes:
        parts: a list, or a stream that is staged while it is read.
        message: the documented sentence; ``{count}`` stands for the number of items.
        expected: items an estimate is made of where the parts do not say it (exports).
        charge: told the number of items before the commit; may refuse them by raising.
        finish_options: called after the last part was read, for options known only then.
    """

    operation: NewOperation
    parts: Iterable[Part]
    message: str
    expected: int | None = None
    finish_options: Callable[[], dict[str, Any]] | None = None
    charge: Callable[[int], None] | None = None
    audit: Callable[[Connection], None] | None = None


def sizes(settings: Settings) -> Sizes:
    """How this installation cuts parts."""
    return Sizes(
        settings.part_min_items, settings.part_max_items, settings.parts_wanted, settings.part_max_bytes
    )


def replay(owner: UUID, request: Repeatable | None) -> Answer | None:
    """The answer of an equal earlier request, before any quota is asked."""
    if request is None:
        return None
    with unit_of_work() as connection:
        return idempotency.find(connection, owner, request, get_settings().idempotency_retention_seconds)


def submit(submission: Submission, request: Repeatable | None = None) -> Answer:
    """Stage and commit. Of any number of equal requests with one key, one is accepted, all are answered.

    Raises:
        RateLimited: the owner has too many unfinished operations.
        IdempotencyMismatch: the key was used with a different request.
        Unavailable: PostgreSQL does not answer; nothing was accepted.
    """
    with idempotency.in_turn(submission.operation.user_id, request):
        return _accept(submission, request)


def _accept(submission: Submission, request: Repeatable | None) -> Answer:
    settings = get_settings()
    new = submission.operation
    with unit_of_work() as connection:
        if request is not None:
            earlier = idempotency.claim(
                connection, new.user_id, request, settings.idempotency_retention_seconds
            )
            if earlier is not None:
                return earlier
        _check_waiting(connection, new.user_id, settings)
        count, parts = store.insert(connection, new, submission.parts)
        if submission.charge is not None:
            submission.charge(count)
        if submission.finish_options is not None:
            store.add_options(connection, new.id, submission.finish_options())
        answer = _answer(connection, submission, count)
        if submission.audit is not None:
            submission.audit(connection)
        if request is not None:
            idempotency.record(connection, new.user_id, request, answer)
        hit("submit.before_commit")
    hit("submit.after_commit")
    # One that finds all of the owner's places taken would only be in the way of those who have them.
    runners = min(parts, new.max_parallel, settings.running_parts_per_owner)
    return replace(answer, runners=max(1, runners))


def _check_waiting(connection: Connection, owner: UUID, settings: Settings) -> None:
    waiting = store.unfinished(connection, owner)
    if waiting >= settings.max_waiting_operations - _PARALLEL_REQUESTS:
        # Near the limit one after another, or each of many at once would see the last free place.
        connection.execute(_ONE_AT_A_TIME, {"owner": str(owner)})
        waiting = store.unfinished(connection, owner)
    if waiting >= settings.max_waiting_operations:
        raise RateLimited(
            f"You have {waiting} unfinished operations; at most {settings.max_waiting_operations} are kept",
            retry_after=_WAITING_RETRY_SECONDS,
            limit=settings.max_waiting_operations,
            policy="operations-waiting",
        )


def _answer(connection: Connection, submission: Submission, count: int) -> Answer:
    new = submission.operation
    items = count if submission.expected is None else submission.expected
    rate = store.measured_rate(connection, new.kind)
    body = {
        "task_id": str(new.id),
        "status": State.PENDING.value,
        "message": submission.message.format(count=count),
        "estimated_duration_seconds": estimate(items, rate, fallback=FIRST_RATES[new.kind]),
        "check_status_url": f"/bulk/status/{new.id}",
    }
    return Answer(ACCEPTED, body)
