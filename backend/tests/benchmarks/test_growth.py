"""Growth, bloat and many callers at a tiny size: every count is right, and wrong ones are told."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from backend.ledger import invariants
from benchmarks import bloat, concurrency, growth
from benchmarks.concurrency import Scene
from benchmarks.crowd import Crowd, Plan
from benchmarks.figures import WrongCount
from benchmarks.filling import LARGEST_OPERATION, Filling
from benchmarks.options import Options
from benchmarks.rows import Cards
from benchmarks.servers import Database

TINY = Options(cards=20, rounds=1, against=())


@pytest.fixture
def here(database):
    return Database(database)


def test_a_filled_table_has_the_shape_of_what_imports_leave(here):
    filling = Filling(here, 3_000)
    filling.to(1_000)
    filling.to(3_000)
    with here.connect() as connection:
        cards, owners = connection.execute("SELECT count(*), count(DISTINCT user_id) FROM cards").fetchone()
        assert (cards, owners > 3) == (3_000, True)
        made = connection.execute(
            "SELECT o.id, o.total_items, count(c.id) FROM operations o JOIN cards c ON c.user_id = o.user_id"
            " AND c.id BETWEEN (left(o.id::text, 30) || '000000')::uuid AND o.id GROUP BY 1, 2"
        ).fetchall()
        assert sum(found for _, _, found in made) == 3_000
        assert all(total == found <= LARGEST_OPERATION for _, total, found in made)
        oldest, newest = connection.execute("SELECT min(created_at), max(created_at) FROM cards").fetchone()
    assert oldest > datetime.now(UTC) - timedelta(days=366)
    assert newest - oldest > timedelta(days=100)
    assert invariants.violations() == []


def test_sizes_are_powers_of_ten_up_to_the_largest():
    assert growth.sizes(10_000_000) == [100_000, 1_000_000, 10_000_000]
    assert growth.sizes(300_000) == [100_000, 300_000]


def test_every_kind_of_work_is_timed_in_both_tables_and_leaves_nothing(here):
    cards = Cards(TINY.cards)
    small = here.twin()
    found = list(growth.compared(small, here, 1_000, cards, TINY))
    assert [one.details["what"] for one in found] == list(growth.WORK)
    assert all(len(one.ours) == len(one.limit) == 1 and min(one.ours + one.limit) > 0 for one in found)
    assert here.value("SELECT count(*) FROM cards") == small.value("SELECT count(*) FROM cards") == 0


def test_growth_tells_cards_that_are_missing(here, monkeypatch):
    monkeypatch.setattr(growth, "run_export", lambda *_: type("Done", (), {"cards": 19}))
    with pytest.raises(WrongCount, match="19 cards instead of 20"):
        list(growth.compared(here.twin(), here, 1_000, Cards(TINY.cards), TINY))


def test_sizes_are_told_for_the_table_its_indexes_and_payloads(here, monkeypatch):
    def vacuumed(rounds, count):
        rounds.burst(count)
        here.settle("cards")
        return 0.0

    monkeypatch.setattr(bloat, "ROUNDS", 1)
    monkeypatch.setattr(bloat._Rounds, "then_vacuumed", vacuumed)
    found = list(bloat.rounds(here, TINY))
    names = {one.name.split(",")[0] for one in found}
    assert {"cards", "pk_cards", "ix_cards_user_id_id", "ix_cards_user_id_fingerprint"} <= names
    assert len(found) == 2 * len(names)
    assert all(one.value > 0 for one in found if one.name.startswith(("cards", "pk", "ix")))


def test_many_callers_make_every_card_and_no_error(running):
    scene = Scene("3 owners, 10 pollers", 3, 2, 10, again_seconds=0.1)
    found = {one.name: one.value for one in concurrency.play(running, scene, TINY)}
    assert found[f"{scene.name}: errors"] == 0
    assert found[f"{scene.name}: told of the end, p99"] > 0
    assert found[f"{scene.name}: status, p50"] > 0
    assert 0 < found[f"{scene.name}: PostgreSQL, api"] <= 21


def test_a_crowd_keeps_what_went_wrong(stack):
    import asyncio

    plan = Plan(stack.url, ["extro_live_wrong"], imports=1, body="{}", rounds=1)
    seen = asyncio.run(Crowd(plan).run())
    assert [error[:21] for error in seen.errors] == ["POST /bulk/import: 401"[:21]]
    assert seen.operations == []


def test_the_twin_of_a_database_is_another_one(here):
    twin = here.twin()
    twin.new_owner()
    assert (here.value("SELECT count(*) FROM users"), twin.value("SELECT count(*) FROM users")) == (0, 1)
    with twin.in_use():
        assert os.environ["DATABASE_URL"] == twin.url
    with psycopg.connect(here.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {twin.url.rpartition('/')[2]}")
