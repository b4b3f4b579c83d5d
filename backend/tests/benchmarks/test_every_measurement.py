"""Every measurement at a tiny size: each side handles every card, or the measurement itself says so."""

from __future__ import annotations

import pytest

from benchmarks import cpu, deleting, exporting, importing
from benchmarks.figures import Figure, Measurement, WrongCount
from benchmarks.measure import Side, alternate
from benchmarks.options import Options
from benchmarks.servers import Database

TINY = Options(cards=20, rounds=1, against=())


def names(results):
    """What was measured; every comparison has its round, every figure a value."""
    found = []
    for one in results:
        if isinstance(one, Measurement):
            assert len(one.ratios) == 1
            assert one.ratio > 0
        else:
            assert one.value > 0 or "growth" in one.name or one.group == "cpu"  # ticks of 10 ms
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


def test_imports_over_http_with_memory_and_status_calls(running):
    found = [*importing.posted(running, 4, TINY), *importing.from_file(running, 4, TINY)]
    names(found)
    compared = [one.name for one in found if isinstance(one, Measurement)]
    assert compared[::2] == ["POST to SUCCESS, 4 runners", "NDJSON file to SUCCESS, 4 runners"]
    assert all(name.endswith(importing.UNLOOKED) for name in compared[1::2])
    figures = [one for one in found if isinstance(one, Figure)]
    assert [one.unit for one in figures if one.group != "cpu"] == ["ms"] * 3 + ["MB"] * 2
    spent = [one.name for one in figures if one.group == "cpu"]
    assert spent == ["import: API", "import: workers", "import: PostgreSQL", "raw COPY: PostgreSQL"]


def test_processor_time_is_that_of_the_stacks_processes_and_their_ended_children(running):
    burn = "DO $$ DECLARE until timestamptz := clock_timestamp() + interval '400 ms'; BEGIN "
    burn += "WHILE clock_timestamp() < until LOOP END LOOP; END $$"
    rounds = []
    side = cpu.counted(Side(lambda _: running.execute(burn), lambda *_: 1, 1), running, rounds)
    alternate({"burn": side}, 1, warm_up=False)
    found = {one.name: one.value for one in cpu.figures("burn", rounds, cpu.PER_CARDS)}
    assert set(found) == {"burn: API", "burn: workers", "burn: PostgreSQL"}
    assert found["burn: PostgreSQL"] > 0.01


def test_exports_over_http_with_memory(running, monkeypatch):
    # Every format goes through run_export above; the way over HTTP is the same for all of them.
    monkeypatch.setattr(exporting, "GOALS", {name: exporting.GOALS[name] for name in ("csv", "zip")})
    found = list(exporting.on_stack(running, TINY))
    assert len([one for one in found if isinstance(one, Measurement)]) == 6
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
