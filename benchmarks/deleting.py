"""Delete: staged parts that the engine runs against one statement that does the same to the same cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from backend.core.ids import card_id, new_operation_id
from benchmarks import servers
from benchmarks.engine import Engine
from benchmarks.figures import Measurement, WrongCount
from benchmarks.measure import Side, alternate
from benchmarks.options import Options
from benchmarks.rows import Cards, raw_copy
from benchmarks.servers import Database

GOALS = {"soft": (0.90, 1.0), "hard": (0.80, 1.0)}
# Each does to a card what the engine's statement does, ids as one array; without telling which were there.
STATEMENTS = {
    "soft": """
        UPDATE cards SET
            deleted_at = %(now)s, is_published = false, published_url = NULL,
            deletion = jsonb_build_object('operation', %(operation)s::text, 'published_url', published_url)
                || CASE WHEN metadata ? 'deleted'
                   THEN jsonb_build_object('metadata', metadata -> 'deleted') ELSE '{}'::jsonb END,
            metadata = metadata || '{"deleted": true}'::jsonb,
            changed_xid = pg_current_xact_id()
        WHERE id = ANY(%(ids)s) AND user_id = %(owner)s AND deleted_at IS NULL
    """,
    "hard": """
        WITH gone AS (
            DELETE FROM cards WHERE id = ANY(%(ids)s) AND user_id = %(owner)s
            RETURNING user_id, id, external_id
        )
        INSERT INTO card_tombstones (user_id, card_id, external_id, deleted_at)
        SELECT user_id, id, external_id, %(now)s FROM gone
    """,
    "plain": "DELETE FROM cards WHERE id = ANY(%(ids)s) AND user_id = %(owner)s",
}


def run(options: Options) -> Iterator[Measurement]:
    """On a server of its own."""
    with servers.database() as database:
        yield from in_process(database, options)


def in_process(database: Database, options: Options) -> Iterator[Measurement]:
    """Soft and hard; hard also against a bare DELETE, which leaves nothing for incremental exports."""
    cards = Cards(options.cards, options.seed)
    owner = database.new_owner()
    soft = alternate(
        {
            "ours": _engine(database, owner, cards, soft=True),
            "one": _statement(database, owner, cards, "soft"),
        },
        options.rounds,
    )
    yield _measurement("soft delete", cards, soft["ours"], soft["one"], "one statement", GOALS["soft"])
    hard = alternate(
        {
            "ours": _engine(database, owner, cards, soft=False),
            "one": _statement(database, owner, cards, "hard"),
            "plain": _statement(database, owner, cards, "plain"),
        },
        options.rounds,
    )
    yield _measurement("hard delete", cards, hard["ours"], hard["one"], "one statement", GOALS["hard"])
    yield _measurement(
        "hard delete, beside a bare DELETE", cards, hard["ours"], hard["plain"], "DELETE", (None, None)
    )


def _measurement(
    name: str,
    cards: Cards,
    ours: tuple[float, ...],
    other: tuple[float, ...],
    against: str,
    goals: tuple[float | None, float | None],
) -> Measurement:
    return Measurement(
        "delete", name, len(cards), ours, other, against=against, goal=goals[0], stretch=goals[1]
    )


def _filled(database: Database, owner: UUID, cards: Cards) -> Callable[[], list[UUID]]:
    """Makes the table hold these cards and nothing else, vacuumed; gives their ids."""
    operation = new_operation_id()
    lines = cards.copy_lines(owner, operation, datetime.now(UTC))
    ids = [card_id(operation, index) for index in range(len(cards))]

    def fill() -> list[UUID]:
        database.empty()
        with database.connect() as connection:
            raw_copy(connection, lines, len(lines))
        database.settle("cards")
        return ids

    return fill


def _engine(database: Database, owner: UUID, cards: Cards, *, soft: bool) -> Side:
    engine = Engine(owner)
    fill = _filled(database, owner, cards)

    def staged() -> UUID:
        operation = engine.stage_delete(fill(), soft=soft)
        database.settle()
        return operation

    return Side(engine.run, lambda *_: _gone(database, owner, cards, soft=soft), len(cards), staged)


def _statement(database: Database, owner: UUID, cards: Cards, kind: str) -> Side:
    fill = _filled(database, owner, cards)

    def filled() -> tuple[psycopg.Connection[Any], list[UUID]]:
        ids = fill()
        connection = database.connect()
        connection.execute("SELECT 1")
        connection.commit()
        return connection, ids

    def execute(prepared: tuple[psycopg.Connection[Any], list[UUID]]) -> None:
        connection, ids = prepared
        values = {"ids": ids, "owner": owner, "now": datetime.now(UTC), "operation": str(uuid4())}
        connection.execute(STATEMENTS[kind], values)
        connection.commit()

    def check(prepared: tuple[psycopg.Connection[Any], list[UUID]], _: Any) -> int:
        prepared[0].close()
        return _gone(database, owner, cards, soft=kind == "soft", tombstones=kind != "plain")

    return Side(execute, check, len(cards), filled)


def _gone(database: Database, owner: UUID, cards: Cards, *, soft: bool, tombstones: bool = True) -> int:
    """How many cards a delete took away.

    Raises:
        WrongCount: softly deleted cards are not there any more, or tombstones of removed ones are missing.
    """
    living = database.count_cards(owner)
    there = database.count_cards(owner, "deletion IS NOT NULL AND metadata @> '{\"deleted\": true}'")
    marks = database.value("SELECT count(*) FROM card_tombstones WHERE user_id = %s", owner)
    wanted = (len(cards), 0) if soft else (0, len(cards) if tombstones else 0)
    if (there, marks) != wanted:
        raise WrongCount(f"{there} softly deleted and {marks} tombstones instead of {wanted}")
    return len(cards) - living
