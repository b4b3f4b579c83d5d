"""A part costs what its own cards cost, whatever else the owner has and whatever the planner knows of him.

The planner's worst case is the common first case: an installation with many small owners, and a new one who
imports much before anything is analysed. To the planner he has one card.
"""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import psycopg
import pytest

from backend.core.settings import get_settings
from backend.db import session
from backend.tests.performance.test_bytes import CARDS
from backend.tests.support.engine import Engine

SMALL, LARGE = 1, 12  # imports of CARDS
PART = 300
_OTHERS = """
    INSERT INTO users (id, name) SELECT gen_random_uuid(), 'other-' || i FROM generate_series(1, 3000) i;
    INSERT INTO cards (id, user_id, fingerprint, title, body, category, privacy_level)
    SELECT gen_random_uuid(), id, gen_random_uuid(), 'title', 'body', 'category', 'PRIVATE' FROM users;
    ANALYZE cards;
    DO $$
    DECLARE one regclass;
    BEGIN
        FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', one);
        END LOOP;
    END $$;
"""  # what autovacuum reads would be counted as the part's
_BLOCKS = """
    SELECT sum(coalesce(heap_blks_hit + heap_blks_read, 0) + coalesce(idx_blks_hit + idx_blks_read, 0)
        + coalesce(toast_blks_hit + toast_blks_read, 0))::bigint
    FROM pg_statio_user_tables WHERE relname <> 'users'
"""  # not users: how many versions of an owner's row lie on one page is chance; not catalogues: they dilute
_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture(autouse=True)
def young_installation(database, monkeypatch):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_OTHERS)
    monkeypatch.setenv("PART_MIN_ITEMS", str(PART))
    get_settings.cache_clear()


def blocks(database: str) -> int:
    """Blocks of our tables asked for in this database so far; sessions tell when they end."""
    session.dispose()
    with psycopg.connect(database, autocommit=True) as connection:
        end = time.monotonic() + 20
        while connection.execute(_SESSIONS).fetchone() != (0,) and time.monotonic() < end:
            time.sleep(0.02)
        return connection.execute(_BLOCKS).fetchone()[0]


@pytest.mark.parametrize("kind", ["create", "skip", "update", "soft delete", "restore", "hard delete"])
def test_a_part_reads_no_more_of_an_owner_who_has_more(kind, database):
    assert _cost(database, kind, LARGE) <= 1.3 * _cost(database, kind, SMALL)


def _cost(database: str, kind: str, imports: int) -> int:
    """Blocks that one part of an owner takes who has made so many imports."""
    owner = uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (owner, str(owner)))
    engine = Engine(owner)
    for number in range(imports):
        made = engine.imports([card | {"external_id": f"{number}-{i}"} for i, card in enumerate(CARDS)])
        engine.run()
    operation = _start(engine, kind, made)
    before = blocks(database)
    engine.run()
    taken = blocks(database) - before
    assert engine.status(operation)["status"] == "SUCCESS"
    return taken


def _start(engine: Engine, kind: str, made: UUID) -> UUID:
    ids = [line["card_id"] for line in engine.results(made)[:PART]]
    again = [card | {"external_id": f"0-{i}"} for i, card in enumerate(CARDS[:PART])]
    match kind:
        case "create":
            return engine.imports(CARDS[:PART])
        case "skip" | "update":
            return engine.imports(again, on_duplicate=kind)
        case "soft delete":
            return engine.deletes(ids)
        case "restore":
            engine.done(engine.deletes(ids))
            return engine.deletes(ids, "restore")
        case _:
            return engine.deletes(ids, soft_delete=False)
