"""Every measurement at a tiny size: each side handles every card, or the measurement itself says so."""

from __future__ import annotations

import pytest

from benchmarks import deleting, exporting, importing
from benchmarks.figures import Figure, Measurement, WrongCount
from benchmarks.options import Options
from benchmarks.servers import Database, RunningStack

TINY = Options(cards=20, rounds=1, against=())


def names(results):
    """What was measured; every comparison has its round, every figure a value."""
    found = []
    for one in results:
        if isinstance(one, Measurement):
            assert len(one.ratios) == 1
            assert one.ratio > 0
        else:
            assert one.value > 0 or "growth" in one.name
        found.append(one.name)
    return found


def test_the_parts_transaction(database):
    found = names(importing.in_process(Database(database), TINY))
    assert found[::2] == ["parts of 500", "parts of 1,000", "parts of 2,000"]


def test_exports_in_process(database):
    found = names(exporting.in_process(Database(database), TINY))
    assert len(found) == 15
    assert {"csv", "json, gzip", "zip, zstd"} <= set(found)


def test_deletes(database):
    found = names(deleting.in_process(Database(database), TINY))
    assert found == ["soft delete", "hard delete", "hard delete, beside a bare DELETE"]


def test_imports_over_http_with_memory_and_status_calls(stack):
    running = RunningStack(stack)
    found = [importing.posted(running, 4, TINY), *importing.from_file(running, 4, TINY)]
    assert names(found)[:2] == ["POST to SUCCESS, 4 runners", "NDJSON file to SUCCESS, 4 runners"]
    assert [one.unit for one in found if isinstance(one, Figure)] == ["ms"] * 3 + ["MB"] * 2


def test_exports_over_http_with_memory(stack):
    found = list(exporting.on_stack(RunningStack(stack), TINY))
    assert len([one for one in found if isinstance(one, Measurement)]) == 15
    assert [one.unit for one in found if isinstance(one, Figure)] == ["MB"] * 3
    names(found)


def test_cards_that_are_missing_are_told(database, monkeypatch):
    here = Database(database)
    monkeypatch.setattr(here, "count_cards", lambda *_: TINY.cards - 1)
    with pytest.raises(WrongCount, match="19 cards instead of 20"):
        list(importing.in_process(here, TINY))


def test_awards_that_are_missing_are_told(database, monkeypatch):
    here = Database(database)
    real = here.value
    monkeypatch.setattr(here, "value", lambda query, *more: 11 if "balance" in query else real(query, *more))
    with pytest.raises(WrongCount, match="12 awards, balance 11, 12 published"):
        list(importing.in_process(here, TINY))
