"""What the stateful test knows and is set to: settings, failpoints, records, an operation as it should be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import strategies as st

from backend.core.ids import card_id, index_of
from backend.db.session import unit_of_work
from backend.operations import store
from backend.operations.state import TRANSITIONS, State
from backend.operations.store import Operation

KINDS_OF_CARD = ("BUSINESS", "IDEAS", "PRIVATE", "no title", "not json object")
RUN_POINTS = (
    "run.after_claim", "run.after_attempt", "run.after_work", "run.before_commit", "run.after_commit",
    "finish.before_commit", "finish.after_commit",
)  # fmt: skip
FAILPOINTS = st.sampled_from(RUN_POINTS)
SUBMIT_POINTS = st.sampled_from(("submit.before_commit", "submit.after_commit"))
SMALL = {
    "PART_MIN_ITEMS": "2", "PART_MAX_ITEMS": "4", "PARTS_WANTED": "3", "RETRY_BACKOFF_SECONDS": "0",
    "RUNNER_SLICE_SECONDS": "0", "MAX_RUNNING_OPERATIONS": "50", "RUNNING_PARTS_PER_OWNER": "3",
    "DB_POOL_SIZE": "4",
    # Who waits for a lock outlasts a worker that stands still with it: no attempts are used up behind one.
    "DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": "2", "DB_LOCK_TIMEOUT_SECONDS": "3",
}  # fmt: skip
MOST_DRAIN_STEPS = 3000
# PostgreSQL itself writes down each step that an operation's state takes, whoever takes it.
LOG_STEPS = """
    CREATE TABLE steps (before text, after text, PRIMARY KEY (before, after));
    CREATE FUNCTION log_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO steps VALUES (old.state, new.state) ON CONFLICT DO NOTHING; RETURN NULL;
    END $$;
    CREATE TRIGGER log_step AFTER UPDATE ON operations FOR EACH ROW
        WHEN (old.state IS DISTINCT FROM new.state) EXECUTE FUNCTION log_step();
"""


@dataclass
class Known:
    """What the test knows of an accepted operation."""

    id: UUID
    kind: str
    cards: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    processed: int = 0
    state: State = State.PENDING
    result: Any = None


def record(number: int, kind: str) -> bytes:
    if kind == "not json object":
        return b"[1, 2]"
    card = {"title": f"Card {number}", "body": "body", "category": "NOTES", "privacy_level": kind}
    if kind == "no title":
        card |= {"title": "", "privacy_level": "PRIVATE"}
    return json.dumps(card).encode()


def reachable(start: State) -> set[State]:
    found, todo = {start}, [start]
    while todo:
        for following in TRANSITIONS[todo.pop()]:
            if following not in found:
                found.add(following)
                todo.append(following)
    return found


class Looks:
    """Looks into the database of the machine: ``url`` and ``owner`` are its own."""

    url: str
    owner: UUID

    def _cards_ever(self, operation: UUID) -> set[int]:
        first, last = card_id(operation, 0), card_id(operation, 1000)
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT id FROM cards WHERE id BETWEEN %(first)s AND %(last)s UNION ALL "
                "SELECT card_id FROM card_tombstones WHERE card_id BETWEEN %(first)s AND %(last)s",
                {"first": first, "last": last},
            ).fetchall()
        indexes = [index_of(row[0]) for row in rows]
        assert len(set(indexes)) == len(indexes)
        return set(indexes)

    def _read(self, operation: UUID) -> Operation:
        with unit_of_work() as connection:
            found = store.get(connection, self.owner, operation)
        assert found is not None, f"{operation} is lost"
        return found

    def _known_outcomes(self, operation: UUID) -> bool:
        return any(part.imported for part in self._parts(operation))

    def _parts(self, operation: UUID) -> list[Any]:
        with psycopg.connect(self.url, row_factory=psycopg.rows.namedtuple_row) as connection:
            return connection.execute(
                "SELECT * FROM operation_parts WHERE operation_id = %s ORDER BY part_no", (operation,)
            ).fetchall()
