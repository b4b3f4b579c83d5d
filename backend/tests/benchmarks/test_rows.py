"""The sample cards, and that a raw COPY of them is the same work as an import of them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import psycopg
from psycopg import sql

from backend.core.ids import index_of, new_operation_id
from benchmarks.engine import Engine
from benchmarks.rows import COLUMNS, Cards, raw_copy

COUNT = 40


def test_the_same_seed_gives_the_same_cards_of_about_900_bytes():
    cards = Cards(200)
    assert cards.raws == Cards(200).raws
    assert cards.raws != Cards(200, seed=1).raws
    assert 800 < len(cards.body()) / len(cards) < 1_000
    assert cards.published == 120


def test_a_raw_copy_leaves_the_rows_that_an_import_leaves(database, owner):
    cards = Cards(COUNT)
    engine = Engine(owner)
    engine.run(engine.stage_import(cards.raws, 10))
    with psycopg.connect(database) as connection:
        copied = UUID(int=1)
        connection.execute("INSERT INTO users (id, name) VALUES (%s, 'copied')", (copied,))
        raw_copy(connection, cards.copy_lines(copied, new_operation_id(), datetime.now(UTC)), 15)
        assert rows(connection, owner) == rows(connection, copied)


def rows(connection: psycopg.Connection, owner: UUID) -> list[dict]:
    """What the owner has, without what differs between any two imports."""
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    query = sql.SQL("SELECT {} FROM cards WHERE user_id = %s ORDER BY id").format(names)
    found = []
    for row in connection.execute(query, (owner,)):
        values = dict(zip(COLUMNS, row, strict=True))
        assert values.pop("user_id") == owner
        values["id"] = index_of(values["id"])
        for name in ("created_at", "updated_at", "published_at"):
            values[name] = values[name] is not None
        if values["published_url"]:
            start, _, short = values["published_url"].rpartition("-")
            values["published_url"] = start, short[-6:]
        found.append(values)
    assert len(found) == COUNT
    return found
