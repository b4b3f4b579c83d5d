"""Whose turn it is, and taking one part under its row lock.

The lock is the lease: it ends with the session, however the session ends. Everything here is taken with
``try`` or ``SKIP LOCKED``, so no runner ever waits for another one.

Fairness: owners are served in the order of their last turn, each at most ``running_parts_per_owner``
parts at once, ``running_long_parts_per_owner`` of them long ones, each with at most
``max_running_operations`` of its oldest operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, text

from backend.core.settings import Settings
from backend.db.session import driver

_CANDIDATES = text(
    """
    SELECT o.id, o.user_id, o.kind, o.max_parallel, o.part_count, o.options
    FROM (
        SELECT id, user_id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS place
        FROM operations WHERE finished_at IS NULL
    ) ranked
    JOIN operations o ON o.id = ranked.id
    LEFT JOIN owner_turns t ON t.user_id = o.user_id
    WHERE ranked.place <= :running AND o.cancel_requested_at IS NULL
      AND EXISTS (SELECT 1 FROM operation_parts p WHERE p.operation_id = o.id AND p.state = 'PENDING'
                  AND (p.next_attempt_at IS NULL OR p.next_attempt_at <= now()))
    ORDER BY t.last_turn_at NULLS FIRST, o.id LIMIT :most
    """
)
# LIMIT 1 stops at the first slot that is free; the lock goes with the transaction.
_SLOT = text(
    """
    SELECT slot FROM generate_series(0, :slots - 1) AS slot
    WHERE pg_try_advisory_xact_lock(hashtext(:name), slot) LIMIT 1
    """
)
_TRY = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_PART_COLUMNS = "part_no, first_index, item_count, payload"
_NEXT = f"""
    SELECT {_PART_COLUMNS} FROM operation_parts
    WHERE operation_id = %(id)s AND state = 'PENDING'
      AND (next_attempt_at IS NULL OR next_attempt_at <= now())
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
    return [Candidate(*row) for row in connection.execute(_CANDIDATES, values)]


def take(connection: Connection, candidate: Candidate, settings: Settings) -> Claim | None:
    """Lock one part of the candidate; ``None`` when others have it all. Roll back then: locks may be held."""
    owner = candidate.user_id
    if not _slot(connection, f"owner {owner}", settings.running_parts_per_owner):
        return None
    # Or one owner's exports would hold every worker, and nobody else's turn would come.
    if candidate.long and not _slot(connection, f"long {owner}", settings.running_long_parts_per_owner):
        return None
    # Before the part is chosen: whoever waits with a part already read would work on what was true before.
    if candidate.max_parallel == 1 and not _try(connection, f"operation {candidate.id}"):
        return None
    if candidate.checks_duplicates and not _try(connection, f"identity {candidate.user_id}"):
        return None
    if candidate.max_parallel > 1:
        row = _part(connection, _NEXT, id=candidate.id)
    else:
        row = _part(connection, _FIRST, id=candidate.id)
        row = row if row is not None and row.due else None
    return None if row is None else _claim(candidate, row)


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


def _slot(connection: Connection, name: str, slots: int) -> bool:
    return connection.execute(_SLOT, {"name": name, "slots": slots}).scalar() is not None


def _try(connection: Connection, name: str) -> bool:
    return bool(connection.execute(_TRY, {"name": name}).scalar_one())


def _part(connection: Connection, statement: str, **values: Any) -> Any:
    """A row of ``operation_parts``, in binary: as text its payload is twice as long, in hexadecimal."""
    with driver(connection).cursor(binary=True, row_factory=namedtuple_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchone()


def _claim(candidate: Candidate, row: Any) -> Claim:
    return Claim(candidate, row.part_no, row.first_index, row.item_count, row.payload)
