"""How often a part was started, counted on a second connection while the part's row lock is held.

The count is committed before the work, so a part that kills its process is counted too. What is not the
part's fault is excused: a lost connection by the process that saw it, the death of a whole worker by
that worker's next start. ``starts`` is never excused, so that nothing can loop for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from backend.core.errors import Unavailable
from backend.db.session import execute

MOST_STARTS = 20  # excused or not

_START = """
    WITH turn AS (
        INSERT INTO owner_turns (user_id, last_turn_at) VALUES (%(owner)s, clock_timestamp())
        ON CONFLICT (user_id) DO UPDATE SET last_turn_at = excluded.last_turn_at
    ), started AS (
        UPDATE operations SET state = 'STARTED', started_at = coalesce(started_at, clock_timestamp())
        WHERE id = %(operation)s AND state IN ('PENDING', 'RETRY')
    )
    INSERT INTO operation_part_attempts AS a
        (operation_id, part_no, attempts, starts, node, incarnation, last_started_at)
    SELECT id, %(part)s, 1, 1, %(node)s, %(incarnation)s, clock_timestamp()
    FROM operations WHERE id = %(operation)s AND finished_at IS NULL
    ON CONFLICT (operation_id, part_no) DO UPDATE SET attempts = a.attempts + 1, starts = a.starts + 1,
        node = excluded.node, incarnation = excluded.incarnation, last_started_at = excluded.last_started_at
    RETURNING attempts, starts
    """
# SKIP LOCKED: when somebody else has taken the part meanwhile, there is nothing to wait with, and the start
# that is counted now and the state are theirs.
_WAIT = text(
    """
    WITH part AS (
        SELECT operation_id, part_no FROM operation_parts
        WHERE operation_id = :operation AND part_no = :part AND state = 'PENDING'
        FOR NO KEY UPDATE SKIP LOCKED
    ), waiting AS (
        UPDATE operation_parts p SET next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
        FROM part WHERE p.operation_id = part.operation_id AND p.part_no = part.part_no
    ), ended AS (
        UPDATE operation_part_attempts SET incarnation = NULL
        WHERE operation_id = :operation AND part_no = :part AND EXISTS (SELECT 1 FROM part)
    )
    UPDATE operations SET state = 'RETRY'
    WHERE id = :operation AND state = 'STARTED' AND EXISTS (SELECT 1 FROM part)
    """
)
_EXCUSE = text(
    """
    UPDATE operation_part_attempts SET attempts = greatest(attempts - 1, 0), incarnation = NULL
    WHERE operation_id = :operation AND part_no = :part AND incarnation = :incarnation
    """
)
_EXCUSE_NODE = text(
    """
    UPDATE operation_part_attempts a SET attempts = greatest(a.attempts - 1, 0), incarnation = NULL
    FROM operation_parts p
    WHERE a.node = :node AND a.incarnation <> :incarnation
      AND p.operation_id = a.operation_id AND p.part_no = a.part_no AND p.state = 'PENDING'
    """
)
# Part of the statement that ends an operation: its counters are of no more use.
FORGET = "DELETE FROM operation_part_attempts WHERE operation_id = :id"


@dataclass(frozen=True, slots=True)
class Worker:
    """Who runs: the worker's stable name and this start of it."""

    node: str
    incarnation: UUID


def start(connection: Connection, worker: Worker, owner: UUID, operation: UUID, part: int) -> tuple[int, int]:
    """Count a start, give the owner its turn and mark the operation STARTED: one statement.

    Returns:
        Attempts that count against the part, and starts altogether; this one included in both.

    Raises:
        Unavailable: the operation is over. The part's lock was lost with its connection, and others have
            run it while this process stood still.
    """
    values = {
        "owner": owner,
        "operation": operation,
        "part": part,
        "node": worker.node,
        "incarnation": worker.incarnation,
    }
    row = execute(connection, _START, values).fetchone()
    if row is None:
        raise Unavailable("The operation is over; the connection that held its part is gone")
    return row[0], row[1]


def wait(connection: Connection, operation: UUID, part: int, seconds: float) -> None:
    """Put a part off after a transient error; the operation says RETRY until a part starts again."""
    connection.execute(_WAIT, {"operation": operation, "part": part, "seconds": seconds})


def excuse(connection: Connection, worker: Worker, operation: UUID, part: int) -> None:
    """Take back the attempt that ended because PostgreSQL went away."""
    connection.execute(_EXCUSE, {"operation": operation, "part": part, "incarnation": worker.incarnation})


def excuse_earlier(connection: Connection, worker: Worker) -> int:
    """Take back what earlier starts of this worker had begun when the whole worker died."""
    values = {"node": worker.node, "incarnation": worker.incarnation}
    return connection.execute(_EXCUSE_NODE, values).rowcount
