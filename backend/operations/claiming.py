"""Whose turn it is, and taking one part under its row lock.

The lock is the lease: it ends with the session, however the session ends. Everything here is taken with
``try`` or ``SKIP LOCKED``, so no runner ever waits for another one.

Fairness: owners are served in the order of their last turn, each at most ``running_parts_per_owner``
parts at once, ``running_long_parts_per_owner`` of them long ones, each with at most
``max_running_operations`` of its oldest operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.settings import Settings
from backend.db.session import execute

_CANDIDATES = """
    SELECT o.id, o.user_id, o.kind, o.max_parallel, o.part_count, o.options
    FROM (
        SELECT id, user_id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS place
        FROM operations WHERE finished_at IS NULL
    ) ranked
    JOIN operations o ON o.id = ranked.id
    LEFT JOIN owner_turns t ON t.user_id = o.user_id
    WHERE ranked.place <= %(running)s AND o.cancel_requested_at IS NULL
      AND EXISTS (SELECT 1 FROM operation_parts p WHERE p.operation_id = o.id AND p.state = 'PENDING'
                  AND (p.next_attempt_at IS NULL OR p.next_attempt_at <= now()))
    ORDER BY t.last_turn_at NULLS FIRST, o.id LIMIT %(most)s
    """
# LIMIT 1 stops at the first slot that is free; the lock goes with the transaction.
_SLOT = """
    SELECT slot FROM generate_series(0, %(slots)s - 1) AS slot
    WHERE pg_try_advisory_xact_lock(hashtext(%(name)s), slot) LIMIT 1
    """
_TRY = "SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0))"
_PART_COLUMNS = "part_no, first_index, item_count, payload"
# The owner's slot and a part in one round trip. What looks at nothing of a part is asked once, and first.
_NEXT = f"""
    SELECT {_PART_COLUMNS} FROM operation_parts
    WHERE operation_id = %(id)s AND state = 'PENDING'
      AND (next_attempt_at IS NULL OR next_attempt_at <= now())
      AND EXISTS ({_SLOT})
    ORDER BY part_no LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    """  # noqa: S608 - constant
# The first or none: the one behind a part that somebody is just giving up or putting off is not next.
_FIRST = f"""
    SELECT {_PART_COLUMNS}, next_attempt_at IS NULL OR next_attempt_at <= now() AS due FROM operation_parts
    WHERE operation_id = %(id)s AND state = 'PENDING' AND part_no = (
        SELECT min(part_no) FROM operation_parts WHERE operation_id = %(id)s AND state = 'PENDING')
    FOR NO KEY UPDATE SKIP LOCKED
    """  # noqa: S608 - constant
_ONE = f"""
    SELECT {_PART_COLUMNS} FROM operation_parts
    WHERE operation_id = %(id)s AND part_no = %(part)s AND state = 'PENDING' FOR NO KEY UPDATE SKIP LOCKED
    """  # noqa: S608 - constant
_CANDIDATES_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation that has a due part."""

    id: UUID
    user_id: UUID
    kind: str
    max_parallel: int
    part_count: int
    options: dict[str, Any]

    @property
    def atomic(self) -> bool:
        """All parts run in one transaction: a dry run, or all or nothing."""
        return self.kind == "import" and (
            bool(self.options.get("dry_run")) or self.options.get("error_policy") == "reject_everything"
        )

    @property
    def long(self) -> bool:
        """A part of it keeps its worker for as long as the whole operation lasts."""
        return self.kind == "export" or self.atomic

    @property
    def checks_duplicates(self) -> bool:
        """Parts run one after another, in input order, and nobody else of the owner checks meanwhile."""
        return self.kind == "import" and self.options.get("on_duplicate", "create") != "create"


@dataclass(frozen=True, slots=True)
class Claim:
    """One part whose row this transaction has locked."""

    operation: Candidate
    number: int
    first_index: int
    item_count: int
    payload: bytes | None


def candidates(connection: Connection, settings: Settings) -> list[Candidate]:
    """Operations with a due part, in the order in which they should be served."""
    values = {"running": settings.max_running_operations, "most": _CANDIDATES_AT_ONCE}
    return [Candidate(*row) for row in execute(connection, _CANDIDATES, values)]


def take(connection: Connection, candidate: Candidate, settings: Settings) -> Claim | None:
    """Lock one part of the candidate; ``None`` when others have it all. Roll back then: locks may be held."""
    owner = candidate.user_id
    slots = {"name": f"owner {owner}", "slots": settings.running_parts_per_owner}
    if candidate.max_parallel > 1 and not candidate.long and not candidate.checks_duplicates:
        row = _part(connection, _NEXT, id=candidate.id, **slots)
        return None if row is None else _claim(candidate, row)
    if not _took(connection, _SLOT, slots):
        return None
    # Or one owner's exports would hold every worker, and nobody else's turn would come.
    slots = {"name": f"long {owner}", "slots": settings.running_long_parts_per_owner}
    if candidate.long and not _took(connection, _SLOT, slots):
        return None
    # Before the part is chosen: whoever waits with a part already read would work on what was true before.
    if not _took(connection, _TRY, {"name": f"operation {candidate.id}"}):
        return None
    if candidate.checks_duplicates and not _took(connection, _TRY, {"name": f"identity {owner}"}):
        return None
    row = _part(connection, _FIRST, id=candidate.id)
    return _claim(candidate, row) if row is not None and row[4] else None


def take_more(connection: Connection, first: Claim) -> Sequence[int]:
    """The numbers of an atomic operation's further parts, for ``take_one`` one by one."""
    query = text(
        "SELECT part_no FROM operation_parts WHERE operation_id = :id AND state = 'PENDING' "
        "AND part_no > :part ORDER BY part_no"
    )
    return connection.execute(query, {"id": first.operation.id, "part": first.number}).scalars().all()


def take_one(connection: Connection, candidate: Candidate, number: int) -> Claim | None:
    """Lock one named part that is still pending."""
    row = _part(connection, _ONE, id=candidate.id, part=number)
    return None if row is None else _claim(candidate, row)


def _took(connection: Connection, lock: str, values: Mapping[str, Any]) -> bool:
    """Whether a row came, and not with false: a slot's number may be 0."""
    row = execute(connection, lock, values).fetchone()
    return row is not None and row[0] is not False


def _part(connection: Connection, statement: str, **values: Any) -> Any:
    """A row of ``operation_parts``, in binary: as text its payload is twice as long, in hexadecimal."""
    return execute(connection, statement, values, binary=True).fetchone()


def _claim(candidate: Candidate, row: Any) -> Claim:
    return Claim(candidate, *row[:4])
