"""Two at once where it hurts: cancelling, giving up, putting off, purging, the last place, a lost commit."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from backend.cards import store as cards
from backend.cards.owners import looked_up_once
from backend.core.errors import RateLimited, Unavailable
from backend.core.ids import new_id
from backend.core.settings import get_settings
from backend.db.copy_binary import HEADER
from backend.db.session import autocommit, unit_of_work
from backend.operations import (
    actions,
    atomic,
    attempts,
    claiming,
    idempotency,
    importing,
    recovery,
    retention,
    runner,
)
from backend.operations.attempts import Worker
from backend.operations.idempotency import Answer
from backend.operations.parts import Part
from backend.operations.working import Work
from backend.tests.support import books
from backend.tests.support.engine import Engine, card, repeatable

ALL_OR_NOTHING = {"error_policy": "reject_everything"}


def cancel(engine: Engine, task: UUID) -> None:
    actions.cancel(engine.caller, task, None, lambda _: Answer(200, {}))


def state_of(engine: Engine, task: UUID) -> str:
    return str(engine.operation(task).state)


def audited(engine: Engine) -> list[str]:
    with unit_of_work() as connection:
        return books.find(connection)


def candidate_of(task: UUID) -> claiming.Candidate:
    with unit_of_work() as connection:
        return next(one for one in claiming.candidates(connection, get_settings()) if one.id == task)


def test_all_or_nothing_cancelled_half_way_is_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelling takes the parts that the run has not locked yet: what is left is not all."""
    task = engine.imports([card(i) for i in range(500)], **ALL_OR_NOTHING)

    def run(work: Work) -> Any:
        if work.claim.number == 2:
            cancel(engine, task)
        return importing.run(work)

    monkeypatch.setattr(atomic, "importing", type("Importing", (), {"run": staticmethod(run)}))
    engine.run()
    assert state_of(engine, task) == "CANCELLED"
    assert engine.cards() == []
    assert audited(engine) == []


@pytest.mark.parametrize("options", [{"dry_run": True}, ALL_OR_NOTHING])
def test_cancelled_after_the_work_was_taken_back_nothing_is_recorded(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """A savepoint that is rolled back gives up the row locks that were taken in it."""
    task = engine.imports([*(card(i) for i in range(300)), {"title": "bad"}], **options)
    whole, cancelled = atomic._end, []

    def end(*arguments: Any) -> None:
        if not cancelled:
            cancelled.append(True)
            cancel(engine, task)
        whole(*arguments)

    monkeypatch.setattr(atomic, "_end", end)
    engine.run()
    assert cancelled
    assert state_of(engine, task) == "CANCELLED"
    assert engine.errors(task) == []
    assert engine.cards() == []
    assert audited(engine) == []


def test_nobody_begins_in_the_middle_of_all_or_nothing(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(300)], **ALL_OR_NOTHING)
    candidate = candidate_of(task)
    with unit_of_work() as giving_up:
        assert claiming.take_one(giving_up, candidate, 0) is not None
        with unit_of_work() as other:
            assert claiming.take(other, candidate, get_settings()) is None
    with unit_of_work() as other:
        taken = claiming.take(other, candidate, get_settings())
        assert taken is not None
        assert taken.number == 0


def test_who_puts_off_a_part_that_another_has_taken_changes_nothing(engine: Engine) -> None:
    task = engine.imports([card(0)])
    candidate = candidate_of(task)
    with unit_of_work() as connection:
        assert claiming.take(connection, candidate, get_settings()) is not None
        with autocommit() as counting:
            attempts.start(counting, engine.worker, engine.owner, task, 0)
            attempts.wait(counting, task, 0, 3_600)
    assert state_of(engine, task) == "STARTED"
    life = engine.rows("SELECT incarnation FROM operation_part_attempts")[0][0]
    assert life == engine.worker.incarnation
    assert engine.done(task)["status"] == "SUCCESS"


def test_one_owners_exports_leave_workers_to_others(engine: Engine) -> None:
    tasks = [engine.start("export", [Part(0, 0, 0, None)], {"format": "json"}) for _ in range(3)]
    held = []
    for task, expected in zip(tasks, (True, True, False), strict=True):
        candidate = candidate_of(task)
        unit = unit_of_work()
        held.append(unit)
        taken = claiming.take(unit.__enter__(), candidate, get_settings())
        assert (taken is not None) is expected
    short = candidate_of(engine.imports([card(0)]))
    with unit_of_work() as connection:  # its shorter work goes on beside them
        assert claiming.take(connection, short, get_settings()) is not None
    for unit in held:
        unit.__exit__(None, None, None)


def test_a_key_taken_over_while_the_purge_looks_is_kept(engine: Engine) -> None:
    request = repeatable("key")
    engine.rows(
        "INSERT INTO idempotency_keys (user_id, key, request_hash, status, response, created_at) "
        "VALUES (:owner, 'key', :hash, 202, '{}', now() - interval '25 hours') RETURNING 1",
        owner=engine.owner, hash=request.request_hash,
    )  # fmt: skip
    with unit_of_work() as connection:
        assert idempotency.claim(connection, engine.owner, request, 86_400) is None
        purge = threading.Thread(target=retention.purge)
        purge.start()
        while not engine.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert purge.is_alive()
        idempotency.record(connection, engine.owner, request, Answer(202, {"task_id": "x"}))
    purge.join(10)
    with unit_of_work() as connection:
        found = idempotency.find(connection, engine.owner, request, 86_400)
    assert found is not None
    assert found.body == {"task_id": "x"}


def test_of_many_at_once_as_many_are_accepted_as_there_is_room_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_WAITING_OPERATIONS", "5")
    monkeypatch.setenv("DB_POOL_TIMEOUT_SECONDS", "30")
    get_settings.cache_clear()

    def accepted(_: int) -> bool:
        try:
            engine.imports([card(0)])
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(accepted, range(48))) == 5
    assert engine.rows("SELECT count(*) FROM operations")[0][0] == 5


def lose_the_next_commit(monkeypatch: pytest.MonkeyPatch, having: str) -> list[bool]:
    """PostgreSQL commits a transaction in which ``having`` gives rows, and the answer never comes."""
    whole, lost = psycopg.Connection.commit, []

    def commit(connection: psycopg.Connection) -> None:
        mine = not lost and not connection.autocommit and bool(connection.execute(having).fetchone())
        whole(connection)
        if mine:
            lost.append(True)
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Connection, "commit", commit)
    return lost


def test_a_part_whose_commit_was_done_but_not_heard_of_is_not_run_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_UNREACHABLE_PAUSE_SECONDS", 0.0)
    task = engine.imports([card(i) for i in range(300)])
    lost = lose_the_next_commit(monkeypatch, "SELECT 1 FROM cards LIMIT 1")
    one = engine.runner()
    for _ in range(4):
        one.run()
    assert lost
    assert engine.status(task)["result"]["cards_imported"] == 300
    assert len(engine.cards()) == 300
    assert audited(engine) == []


def test_an_acceptance_that_was_committed_but_not_heard_of_is_found_by_its_key(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = repeatable("key")
    lost = lose_the_next_commit(monkeypatch, "SELECT 1 FROM operations LIMIT 1")
    with pytest.raises(Unavailable):
        engine.imports([card(0)], request)
    assert lost
    task = engine.imports([card(0)], request)
    assert engine.rows("SELECT id FROM operations") == [(task,)]
    assert engine.done(task)["status"] == "SUCCESS"


def test_a_worker_that_lost_its_part_to_another_commits_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still, PostgreSQL ended its session, another one did the part; then it goes on."""
    monkeypatch.setattr(runner, "_UNREACHABLE_PAUSE_SECONDS", 0.0)
    task = engine.imports([card(i) for i in range(100)])
    stood: list[bool] = []

    def run(work: Work) -> Any:
        result = importing.run(work)
        if not stood:
            stood.append(True)
            with psycopg.connect(get_settings().libpq_url, autocommit=True) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE state = 'idle in transaction' AND datname = current_database()"
                )
            Engine(engine.owner, "another@localhost").run()
        return result

    monkeypatch.setitem(runner._DO, "import", run)
    engine.run()
    assert stood
    assert engine.status(task)["result"]["cards_imported"] == 100
    assert len(engine.cards()) == 100
    assert audited(engine) == []


def test_a_worker_that_stands_still_in_the_middle_of_a_copy_loses_its_part(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time-out of PostgreSQL's ends its session there; the sweeper does."""
    monkeypatch.setenv("DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", "1")
    get_settings.cache_clear()
    task = engine.imports([card(0)])
    lease = "SELECT 1 FROM operation_parts WHERE operation_id = %s FOR NO KEY UPDATE"
    name = recovery.WORKER_APPLICATION
    with psycopg.connect(get_settings().libpq_url, application_name=name) as standing:
        standing.execute("SET statement_timeout = '500ms'")
        standing.execute("SET idle_in_transaction_session_timeout = '500ms'")
        standing.execute(lease, (task,))
        # As the engine sends it: PostgreSQL shows the beginning of a query only, and COPY must be in it.
        standing.pgconn.exec_(f"{looked_up_once(engine.owner)[0]}; {cards._COPY}".encode())
        standing.pgconn.put_copy_data(HEADER + b"half a ro")
        recovery.sweep()
        engine.run()
        assert engine.status(task)["status"] == "PENDING"
        time.sleep(1.5)
        engine.run()
        assert engine.status(task)["status"] == "PENDING", "PostgreSQL has learnt to end it by itself"
        assert recovery.sweep() == [task]
        wait_until(lambda: engine.run() or engine.status(task)["status"] == "SUCCESS")
        standing.close()
    assert len(engine.cards()) == 1


def wait_until(holds: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_undo_of_which_nothing_is_known_any_more_is_refused(engine: Engine) -> None:
    from backend.core.errors import Conflict

    engine.done(engine.imports([card(i) for i in range(3)]))
    deleted = engine.deletes([one.id for one in engine.cards()])
    engine.run()
    retention.purge(get_settings().model_copy(update={"item_error_retention_seconds": 0}))
    with pytest.raises(Conflict, match="nothing to undo"):
        actions.undo(engine.caller, deleted, None)


def test_a_worker_excuses_only_what_its_own_earlier_starts_had_begun(engine: Engine) -> None:
    task = engine.imports([card(0)])
    other = Worker("worker2@host", uuid4())
    with autocommit() as connection:
        attempts.start(connection, other, engine.owner, task, 0)
        assert attempts.excuse_earlier(connection, Worker("worker1@host", new_id())) == 0
        assert attempts.excuse_earlier(connection, Worker("worker2@host", new_id())) == 1


def test_a_start_after_the_end_is_not_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker stands still with a part, its connection goes, others run the part: then it goes on."""
    task = engine.imports([card(0)])
    really, begun = attempts.start, threading.Event()
    others_are_done = threading.Event()

    def late(connection: Any, worker: Worker, *which: Any) -> tuple[int, int]:
        if worker.node == "slow@localhost":
            begun.set()
            assert others_are_done.wait(30)
        return really(connection, worker, *which)

    monkeypatch.setattr(attempts, "start", late)
    slow = Engine(engine.owner, "slow@localhost")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow.run)
        assert begun.wait(30)
        with autocommit() as connection:  # of all that hold a lock on a part: there is one
            ended = connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                "WHERE locktype = 'relation' AND granted AND relation = 'operation_parts'::regclass "
                "AND pid <> pg_backend_pid() AND mode = 'RowShareLock' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).all()
        assert len(ended) == 1
        engine.run()
        assert state_of(engine, task) == "SUCCESS"
        others_are_done.set()
        running.result(30)
    assert audited(engine) == []
