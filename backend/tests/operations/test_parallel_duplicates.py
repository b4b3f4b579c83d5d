"""Several imports of one owner at once, several runners each: what is there already is found exactly."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backend.core.ids import new_id
from backend.core.settings import get_settings
from backend.operations.attempts import Worker
from backend.operations.runner import Runner
from backend.operations.submit import sizes
from backend.tests.support.engine import Engine, card

IMPORTS, CARDS, RUNNERS = 4, 120, 4


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PART_MIN_ITEMS", "10")
    monkeypatch.setenv("PART_MAX_ITEMS", "10")
    get_settings.cache_clear()
    assert sizes(get_settings()).smallest == 10
    yield
    get_settings.cache_clear()


def run_side_by_side(engine: Engine) -> None:
    """Runners until nothing is left, all starting at one moment."""
    together = threading.Barrier(RUNNERS)

    def run(number: int) -> None:
        together.wait()
        Runner(Worker(f"test-{number}@localhost", new_id())).run()

    with ThreadPoolExecutor(RUNNERS) as pool:
        list(pool.map(run, range(RUNNERS)))
    engine.run()  # what a runner left because another one held it


def batch(number: int) -> list[dict[str, Any]]:
    """The same 120 cards in another order each time, some of them twice, each publishable."""
    order = range(CARDS) if number % 2 else reversed(range(CARDS))
    cards = [card(i, external_id=f"e{i}", body=f"from {number}") for i in order]
    return cards + cards[:30]


@pytest.mark.parametrize("mode", ["skip", "update", "fail"])
def test_no_card_is_made_twice_and_every_item_is_accounted_for(
    engine: Engine, small_parts: None, mode: str
) -> None:
    tasks = [engine.imports(batch(number), on_duplicate=mode) for number in range(IMPORTS)]
    run_side_by_side(engine)
    results = [engine.status(task) for task in tasks]
    assert {status["status"] for status in results} == {"SUCCESS"}
    counts = [status["result"] for status in results]
    assert sum(result["cards_imported"] for result in counts) == CARDS
    for result in counts:
        parts = ("cards_imported", "cards_failed", "cards_skipped", "cards_updated")
        assert sum(result.get(name, 0) for name in parts) == CARDS + 30
        assert result["cards_failed"] == (CARDS + 30 - result["cards_imported"] if mode == "fail" else 0)
    found = engine.cards()
    assert sorted(one.external_id for one in found) == sorted(f"e{i}" for i in range(CARDS))
    assert engine.books() == []
    awards = engine.rows(
        "SELECT count(*) AS n FROM extropy_ledger WHERE user_id = :owner", owner=engine.owner
    )
    assert awards[0].n == CARDS
    for task in tasks:
        assert [line["index"] for line in engine.results(task)] == list(range(CARDS + 30))


def test_updates_beside_deletions_of_the_same_cards_end(engine: Engine, small_parts: None) -> None:
    engine.done(engine.imports(batch(1), on_duplicate="skip"))
    ids = [one.id for one in engine.cards()]
    tasks = []
    for number in range(3):
        tasks.append(engine.imports(batch(number), on_duplicate="update"))
        tasks.append(engine.deletes(ids if number % 2 else ids[::-1]))
    run_side_by_side(engine)
    assert {engine.status(task)["status"] for task in tasks} == {"SUCCESS"}
    assert engine.books() == []
    living = [one.external_id for one in engine.cards()]
    assert len(living) == len(set(living))
