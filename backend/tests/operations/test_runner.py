"""Parts that fail, are put off, are given up; and whose turn it is."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from backend.core.errors import Unavailable
from backend.core.ids import new_id
from backend.core.settings import get_settings
from backend.db.session import autocommit, unit_of_work
from backend.operations import actions, attempts, claiming, importing, recovery, runner
from backend.operations.attempts import Worker
from backend.operations.runner import Runner
from backend.operations.working import Work
from backend.tests.support.engine import Engine, card


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backoff that tests can wait for."""
    monkeypatch.setenv("RETRY_BACKOFF_SECONDS", "0.05")
    get_settings.cache_clear()


def failing(
    monkeypatch: pytest.MonkeyPatch, part: int, error: BaseException, times: int = 1_000
) -> list[int]:
    """Let one part's work raise, ``times`` times. Returns a list that grows with each."""
    seen: list[int] = []

    def run(work: Work) -> Any:
        if work.claim.number == part and len(seen) < times:
            seen.append(part)
            raise error
        return importing.run(work)

    monkeypatch.setitem(runner._DO, "import", run)
    return seen


@pytest.mark.usefixtures("quick")
def test_a_transient_error_is_retried_and_nothing_is_doubled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = failing(monkeypatch, 1, Unavailable("busy"), times=3)
    status = engine.done(engine.imports([card(i) for i in range(500)]))
    assert status["status"] == "SUCCESS"
    assert len(seen) == 3
    assert len(engine.cards()) == 500
    assert engine.books() == []


def test_the_state_says_retry_while_a_part_waits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, 0, Unavailable("busy"))
    task = engine.imports([card(0)])
    engine.runner().run_one()
    status = engine.status(task)
    assert status["status"] == "RETRY"
    assert status["progress"] == {"current": 0, "total": 1, "percent": 0}


@pytest.mark.usefixtures("quick")
def test_a_part_is_given_up_after_the_first_and_three_more_attempts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = failing(monkeypatch, 2, Unavailable("busy"))
    task = engine.imports([card(i) for i in range(400)])
    status = engine.done(task)
    assert len(seen) == 4
    assert status["status"] == "FAILURE"
    assert status["error"] == "Part 2 (cards 200-299) failed: busy (after 4 attempts)"
    result = status["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (300, 100)
    assert result["errors"][0]["code"] == "part_failed"
    assert engine.books() == []


def test_what_a_failed_part_held_can_be_retried(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 2, RuntimeError("a bug"))
        task = engine.imports([card(i) for i in range(400)])
        status = engine.done(task)
    assert status["error"] == "Part 2 (cards 200-299) failed: an unexpected error (RuntimeError)"
    again = engine.done(actions.retry(engine.caller, task, None))
    assert (again["status"], again["result"]["cards_imported"]) == ("SUCCESS", 100)
    assert sorted(int(one.title.split()[1]) for one in engine.cards()) == list(range(400))


def test_a_part_that_ends_its_worker_is_started_four_times(engine: Engine) -> None:
    """What a killed process leaves behind: a counted start, no other trace."""
    task = engine.imports([card(i) for i in range(300)])
    for _ in range(4):
        with autocommit() as connection:
            attempts.start(connection, engine.worker, engine.owner, task, 1)
    status = engine.done(task)
    assert status["status"] == "FAILURE"
    assert "Part 1 (cards 100-199)" in status["error"]
    assert "ended its worker" in status["error"]
    assert status["result"]["cards_imported"] == 200
    assert len(engine.errors(task)) == 100


def test_the_death_of_a_whole_worker_does_not_count_against_its_parts(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(300)])
    for _ in range(6):
        life = Worker("worker1@host", new_id())
        with autocommit() as connection:
            attempts.excuse_earlier(connection, life)
            attempts.start(connection, life, engine.owner, task, 1)
    with autocommit() as connection:
        attempts.excuse_earlier(connection, Worker("worker1@host", new_id()))
    assert engine.done(task)["status"] == "SUCCESS"


def test_excused_or_not_nothing_is_started_for_ever(engine: Engine) -> None:
    task = engine.imports([card(0)])
    for _ in range(attempts.MOST_STARTS):
        life = Worker("worker1@host", new_id())
        with autocommit() as connection:
            attempts.excuse_earlier(connection, life)
            attempts.start(connection, life, engine.owner, task, 0)
    assert engine.done(task)["status"] == "FAILURE"


def test_a_lost_connection_is_not_the_parts_fault(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = 0

    def run(work: Work) -> Any:
        nonlocal lost
        if lost < 6:
            lost += 1
            with psycopg.connect(get_settings().libpq_url, autocommit=True) as killer:
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE state = 'idle in transaction' AND datname = current_database()"
                )
        return importing.run(work)

    monkeypatch.setitem(runner._DO, "import", run)
    monkeypatch.setattr(runner, "_UNREACHABLE_PAUSE_SECONDS", 0.01)
    task = engine.imports([card(0)])
    one = engine.runner()
    for _ in range(10):
        one.run()
    assert lost == 6
    assert engine.status(task)["status"] == "SUCCESS"
    assert len(engine.cards()) == 1


def test_many_runners_at_once_double_nothing(engine: Engine) -> None:
    tasks = [engine.imports([card(i) for i in range(1_000)]) for _ in range(4)]
    runners = [threading.Thread(target=engine.run) for _ in range(6)]
    for one in runners:
        one.start()
    for one in runners:
        one.join()
    engine.run()
    assert [engine.status(task)["status"] for task in tasks] == ["SUCCESS"] * 4
    assert len(engine.cards()) == 4_000
    assert engine.books() == []


def test_an_owner_who_came_later_is_served_next(engine: Engine, owner: Any) -> None:
    other = Engine(uuid4())
    engine.rows("INSERT INTO users (id, name) VALUES (:id, 'other') RETURNING id", id=other.owner)
    engine.imports([card(i) for i in range(1_000)])
    one = engine.runner()
    one.run_one()
    small = other.imports([card(0)])
    one.run_one()
    assert other.status(small)["status"] == "SUCCESS"


def test_one_owner_runs_at_most_so_many_parts_at_once(engine: Engine) -> None:
    settings = get_settings().model_copy(update={"running_parts_per_owner": 2})
    task = engine.imports([card(i) for i in range(500)])
    held = []
    for expected in (True, True, False):
        unit = unit_of_work()
        connection = unit.__enter__()
        held.append(unit)
        (candidate,) = claiming.candidates(connection, settings)
        assert candidate.id == task
        assert (claiming.take(connection, candidate, settings) is not None) is expected
    for unit in held:
        unit.__exit__(None, None, None)


def test_a_runner_stops_between_parts_when_asked(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(1_000)])
    calls = iter([False, False, True])
    assert Runner(engine.worker, stopping=lambda: next(calls, True)).run() is True
    assert engine.status(task)["progress"]["current"] == 500


def test_a_runner_hands_over_when_its_slice_is_over(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(1_000)])
    settings = get_settings().model_copy(update={"runner_slice_seconds": 0.0})
    assert Runner(engine.worker, settings=settings).run() is True
    assert engine.status(task)["status"] == "STARTED"


def test_the_sweeper_finishes_what_a_killed_runner_left(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = engine.imports([card(0)])
    with monkeypatch.context() as patch:
        patch.setattr(runner, "finish_if_over", lambda *_, **__: False)
        engine.run()
    assert engine.status(task)["status"] == "STARTED"
    assert recovery.sweep() == []
    assert engine.status(task)["status"] == "SUCCESS"


def test_the_sweeper_wakes_what_has_a_due_part(engine: Engine) -> None:
    task = engine.imports([card(0)])
    assert recovery.sweep() == [task]
    with autocommit() as connection:
        attempts.wait(connection, task, 0, 3_600)
    assert recovery.sweep() == []


def test_progress_only_ever_grows(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(2_000)])
    worker = threading.Thread(target=engine.run)
    worker.start()
    seen = []
    while worker.is_alive():
        status = engine.status(task)
        seen.append(status.get("progress", {"current": 2_000})["current"])
        time.sleep(0.005)
    worker.join()
    assert seen == sorted(seen)
    assert engine.status(task)["status"] == "SUCCESS"
