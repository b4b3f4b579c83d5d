"""Task bodies, called without a broker: each is one call, and doing it again changes nothing."""

from __future__ import annotations

from uuid import UUID

import pytest
from redis import Redis

from backend.queue import dispatch, telemetry
from backend.tasks import running
from backend.tasks.bulk_operations import run_operation
from backend.tasks.maintenance import purge, sweep
from backend.tests.support.engine import Engine, card


@pytest.fixture
def engine(owner: UUID) -> Engine:
    return Engine(owner)


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[UUID, int]]:
    """Whom the task would have woken; the process's runner is made anew."""
    monkeypatch.setattr(running, "_runner", None)
    found: list[tuple[UUID, int]] = []
    monkeypatch.setattr(dispatch, "wake", lambda operation, runners=1: found.append((operation, runners)))
    monkeypatch.setattr(telemetry, "queue_length", lambda: 0)
    return found


def test_a_message_runs_its_operation_to_the_end_and_again_does_nothing(engine, woken):
    operation = engine.imports([card(n) for n in range(250)])
    run_operation(str(operation))
    first = engine.status(operation)
    assert first["result"]["cards_imported"] == 250
    run_operation(str(operation))
    assert engine.status(operation) == first
    assert len(engine.cards()) == 250
    assert engine.books() == []
    assert woken == []


def test_a_message_for_an_unknown_operation_is_harmless(engine, woken):
    run_operation("019a0000-0000-7000-8000-000000ffffff")
    assert engine.cards() == []


def test_a_message_of_any_operation_runs_whatever_waits(engine, woken):
    """So a lost message costs only time."""
    operation = engine.imports([card(1)])
    run_operation("019a0000-0000-7000-8000-000000ffffff")
    assert engine.status(operation)["status"] == "SUCCESS"


def test_the_sweeper_wakes_what_waits_and_nothing_once_it_is_over(engine, woken):
    operation = engine.imports([card(1)])
    sweep()
    assert {one for one, _ in woken} == {operation}
    engine.run()
    woken.clear()
    sweep()
    assert woken == []


def test_the_sweeper_adds_nothing_to_a_long_queue(engine, woken, monkeypatch):
    monkeypatch.setattr(telemetry, "queue_length", lambda: 1_000)
    engine.imports([card(1)])
    sweep()
    assert [one for one in woken if one[1]] == []


def test_the_queue_is_as_long_as_redis_says(database, redis_url):
    with Redis.from_url(redis_url) as client:
        client.rpush("celery", *"ab")
        assert telemetry.queue_length() == 2


def test_the_purge_says_what_it_removed_and_again_nothing(engine, woken):
    first, second = purge(), purge()
    assert set(first) == set(second)
    assert not any(second.values())
