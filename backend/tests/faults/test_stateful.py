"""Submitting, running, delivering twice, killing, cutting, cancelling, expiring, retrying, undoing, restoring
in any order, on a real PostgreSQL: after every step the books add up and progress only grows."""

from __future__ import annotations

import itertools
import json
import uuid
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backend.core.errors import Conflict, NotFound
from backend.core.ids import card_id, new_operation_id
from backend.core.settings import get_settings
from backend.db import session
from backend.db.session import unit_of_work
from backend.operations import actions, recovery, report, retention, store
from backend.operations.actions import Caller
from backend.operations.idempotency import Answer, Repeatable
from backend.operations.state import FINAL, TRANSITIONS, State
from backend.operations.store import NewOperation
from backend.operations.submit import Submission, replay, submit
from backend.tests.conftest import _administer, on_database
from backend.tests.faults.known import (
    FAILPOINTS,
    KINDS_OF_CARD,
    LOG_STEPS,
    MOST_DRAIN_STEPS,
    SMALL,
    SUBMIT_POINTS,
    Known,
    Looks,
    reachable,
    record,
)
from backend.tests.faults.machinery import (
    Killed,
    Lost,
    Node,
    Paused,
    at,
    cut_all_sessions,
    install,
    kill,
    surviving,
)
from backend.tests.support import books
from backend.tests.support.engine import cut


class Engine(Looks, RuleBasedStateMachine):
    """One owner, one database, two workers and any number that stand still."""

    server: ClassVar[str]
    template: ClassVar[str]
    patch: ClassVar[pytest.MonkeyPatch]
    reached: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.name = f"stateful_{uuid.uuid4().hex}"
        _administer(self.server, f"CREATE DATABASE {{}} TEMPLATE {self.template}", self.name)
        self.url = on_database(self.server, self.name)
        self.patch.setenv("DATABASE_URL", self.url)
        session.dispose()
        get_settings.cache_clear()
        self.owner = uuid.uuid4()
        with psycopg.connect(self.url) as connection:
            connection.execute("INSERT INTO users (id, name) VALUES (%s, 'owner')", (self.owner,))
            connection.execute(LOG_STEPS)
        self.caller = Caller(self.owner)
        self.known: dict[UUID, Known] = {}
        self.answers: list[tuple[Submission, Repeatable, dict[str, Any]]] = []
        self.nodes = [Node("worker1@here"), Node("worker2@here")]
        self.paused: list[Paused] = []
        self.urls: dict[UUID, str] = {}
        self.numbers = itertools.count()
        self.counted_kills = 0
        self.purged = False

    # --- submitting -------------------------------------------------------------------------------

    @rule(
        cards=st.lists(st.sampled_from(KINDS_OF_CARD), min_size=1, max_size=14),
        mode=st.sampled_from(("create", "create", "create", "skip", "fail", "update")),
        policy=st.sampled_from(("reject_failed_rows", "reject_failed_rows", "reject_everything")),
        dry_run=st.sampled_from((False, False, False, True)),
    )
    def import_cards(self, cards, mode, policy, dry_run):
        first = 0 if mode != "create" else next(self.numbers) * 100
        options: dict[str, Any] = {"on_duplicate": mode, "error_policy": policy, "dry_run": dry_run}
        records = [record(first + index, kind) for index, kind in enumerate(cards)]
        parallel = 1 if mode != "create" or dry_run or policy == "reject_everything" else 4
        staged = cut(records)
        self._accept("import", staged, options, parallel, cards)

    @precondition(lambda self: any(one.kind == "import" for one in self.known.values()))
    @rule(
        data=st.data(),
        kind=st.sampled_from(("delete", "delete", "restore")),
        soft=st.sampled_from((True, True, False)),
        foreign=st.booleans(),
    )
    def delete_or_restore(self, data, kind, soft, foreign):
        imports = [one for one in self.known.values() if one.kind == "import"]
        made = data.draw(st.sampled_from(imports))
        indexes = data.draw(st.lists(st.integers(0, 15), min_size=1, max_size=8, unique=True))
        ids = [str(card_id(made.id, index)) for index in indexes] + [str(uuid.uuid4())] * foreign
        options = {"soft_delete": soft} if kind == "delete" else {}
        self._accept(kind, cut([json.dumps(one).encode() for one in ids]), options, 4)

    def _accept(self, kind, staged, options, parallel, cards=()):
        new = NewOperation(new_operation_id(), self.owner, kind, parallel, options)
        request = Repeatable(f"key-{new.id}", new.id.bytes)
        submission = Submission(new, staged, "{count} items")
        answer = submit(submission, request)
        assert answer.status == 202
        self.known[new.id] = Known(new.id, kind, list(cards), options)
        self.answers.append((submission, request, answer.body))

    @precondition(lambda self: self.answers and not self.purged)
    @rule(data=st.data())
    def repeat_a_request(self, data):
        submission, request, body = data.draw(st.sampled_from(self.answers))
        with unit_of_work() as connection:
            before = store.unfinished(connection, self.owner)
        again = Submission(
            NewOperation(new_operation_id(), self.owner, submission.operation.kind, 4, {}),
            submission.parts, submission.message,
        )  # fmt: skip
        assert submit(again, request).body == body
        assert replay(self.owner, request).body == body
        with unit_of_work() as connection:
            assert store.unfinished(connection, self.owner) == before

    @rule(point=SUBMIT_POINTS, cut_off=st.booleans())
    def submitting_process_dies(self, point, cut_off):
        """The caller got no answer; the request with the same key says what became of it."""
        records = [record(next(self.numbers) * 100, "BUSINESS")]
        new = NewOperation(new_operation_id(), self.owner, "import", 4, {})
        request = Repeatable(f"key-{new.id}", new.id.bytes)
        submission = Submission(new, cut(records), "{count} items")
        with at(point, cut_all_sessions if cut_off else kill), suppress(Killed, Lost):
            surviving(lambda: submit(submission, request))
        session.dispose()
        accepted = surviving(lambda: replay(self.owner, request))
        assert (accepted is not None) == (point == "submit.after_commit")
        answer = submit(submission, request)
        assert answer.body["task_id"] == str(new.id)
        assert answer.replayed == (accepted is not None)
        self.known[new.id] = Known(new.id, "import", ["BUSINESS"], {})

    # --- running ----------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), times=st.integers(1, 6))
    def run(self, which, times):
        for _ in range(times):
            self.nodes[which].run_one()

    @precondition(lambda self: self.known)
    @rule(data=st.data(), which=st.integers(0, 1), times=st.integers(1, 3))
    def deliver(self, data, which, times):
        """A message for any operation, finished ones too, several times."""
        for operation in data.draw(st.lists(st.sampled_from(list(self.known)), min_size=1, max_size=times)):
            for _ in range(times):
                try:
                    surviving(lambda one=operation: self.nodes[which].runner.run(one))
                except Lost:
                    continue

    @rule(which=st.integers(0, 1), point=FAILPOINTS, whole=st.booleans())
    def kill_a_worker(self, which, point, whole):
        killed = self.nodes[which].run_and_die(point, whole=whole)
        self.counted_kills += killed and not whole

    @rule(which=st.integers(0, 1), point=FAILPOINTS)
    def postgresql_restarts_under_a_worker(self, which, point):
        with at(point, cut_all_sessions):
            self.nodes[which].run_one()
        session.dispose()
        self.counted_kills += 1  # those of paused workers are counted until they find out

    @precondition(lambda self: len(self.paused) < 3)
    @rule(point=FAILPOINTS.filter(lambda name: name.startswith("run.")))
    def a_worker_stands_still(self, point):
        worker = Paused(point)
        if worker.stands:
            self.paused.append(worker)

    @precondition(lambda self: self.paused)
    @rule(data=st.data(), die=st.booleans())
    def a_standing_worker_goes_on_or_dies(self, data, die):
        worker = self.paused.pop(data.draw(st.integers(0, len(self.paused) - 1)))
        self.counted_kills += die or worker.stood_too_long  # a start without an end
        worker.end(die=die)

    @rule()
    def sweep(self):
        with suppress(Lost):
            surviving(recovery.sweep)

    # --- what owners do ---------------------------------------------------------------------------

    @precondition(lambda self: self.known)
    @rule(data=st.data(), die=st.booleans())
    def cancel(self, data, die):
        operation = data.draw(st.sampled_from(list(self.known)))
        over = self._read(operation).state in FINAL
        try:
            with at("cancel.before_commit" if die else None, kill):
                actions.cancel(self.caller, operation, None, lambda _: Answer(200, {}))
        except Killed:
            return
        except Conflict:
            assert over
        else:
            assert not over
            assert not die

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def retry(self, data):
        operation = data.draw(st.sampled_from(list(self.known)))
        before = self._read(operation)
        failed = sum(part.failed for part in self._parts(operation))
        try:
            answer = actions.retry(self.caller, operation, None)
        except Conflict:
            allowed = before.state in FINAL and failed and not before.options.get("dry_run")
            assert not allowed or before.options.get("undoes") or self.purged
            return
        child = UUID(answer.body["task_id"])
        assert self._read(child).total_items == failed
        assert self._read(child).parent_id == operation
        self.known[child] = Known(child, before.kind, ["retried"] * failed, dict(before.options))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def undo(self, data):
        operation = data.draw(st.sampled_from(list(self.known)))
        before = self._read(operation)
        try:
            answer = actions.undo(self.caller, operation, None)
        except Conflict:
            undoable = before.kind == "import" and not before.options.get("dry_run")
            if before.kind == "delete" and before.options.get("soft_delete", True):
                by_range = before.options.get("undoes") is not None
                undoable = by_range or (self._known_outcomes(operation) and not self.purged)
            assert not (undoable and before.state in FINAL)
            return
        child = UUID(answer.body["task_id"])
        self.known[child] = Known(child, "delete" if before.kind == "import" else "restore")

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def nobody_else_may(self, data):
        operation = data.draw(st.sampled_from(list(self.known)))
        for action in (
            lambda: actions.cancel(Caller(uuid.uuid4()), operation, None, lambda _: Answer(200, {})),
            lambda: actions.retry(Caller(uuid.uuid4()), operation, None),
            lambda: actions.undo(Caller(uuid.uuid4()), operation, None),
        ):
            with pytest.raises(NotFound):
                action()

    @precondition(lambda self: self.known)
    @rule(die=st.booleans(), operations_too=st.sampled_from((False, False, True)))
    def everything_expires(self, die, operations_too):
        late = get_settings().model_copy(
            update={
                "idempotency_retention_seconds": 0,
                "item_error_retention_seconds": 0,
                "operation_retention_seconds": 0 if operations_too else 10**6,
                "artifact_retention_seconds": 10**6,
            }
        )
        try:
            with at("purge.before_commit" if die else None, kill):
                retention.purge(late)
        except Killed:
            pass
        self.purged = True
        if operations_too:
            with psycopg.connect(self.url) as connection:
                left = {row[0] for row in connection.execute("SELECT id FROM operations")}
            gone = [one for one in self.known if one not in left]
            assert all(self.known.pop(one).state in FINAL for one in gone)

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def the_books_add_up(self):
        with unit_of_work() as connection:
            found = books.find(connection, purged=self.purged)
        assert found == []

    @invariant()
    def progress_only_grows_and_is_exact(self):
        for known in self.known.values():
            operation = self._read(known.id)
            with unit_of_work() as connection:
                totals = store.totals(connection, known.id)
                shown = report.current(connection, self.owner, known.id)
            assert operation.state in reachable(known.state), (known, operation)
            assert totals.processed >= known.processed
            counted = totals.imported + totals.updated + totals.skipped + totals.failed
            assert totals.processed == counted
            assert totals.processed <= operation.total_items
            if known.state in FINAL:
                assert operation.result == known.result
            if operation.state not in FINAL:
                assert shown["progress"]["current"] == totals.processed
            known.state, known.processed, known.result = operation.state, totals.processed, operation.result

    @invariant()
    def every_step_of_a_state_is_one_of_the_state_machine(self):
        with psycopg.connect(self.url) as connection:
            steps = connection.execute("SELECT before, after FROM steps").fetchall()
        for before, after in steps:
            assert State(after) in TRANSITIONS[State(before)], (before, after)

    @invariant()
    def a_published_url_never_changes(self):
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT id, published_url FROM cards WHERE is_published").fetchall()
        for card, url in rows:
            assert self.urls.setdefault(card, url) == url

    def teardown(self):
        try:
            for worker in self.paused:
                worker.end(die=True)
            self.counted_kills += len(self.paused)
            self._drain()
            self._everything_ended_as_it_should()
        finally:
            session.dispose()
            _administer(self.server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)

    def _drain(self) -> None:
        for _ in range(MOST_DRAIN_STEPS):
            due = recovery.sweep()
            while self.nodes[0].run_one():
                pass
            if not due:
                return
        raise AssertionError(f"never ends: {books.counts(self.url)}")

    def _everything_ended_as_it_should(self) -> None:
        self.the_books_add_up()
        self.progress_only_grows_and_is_exact()
        for known in self.known.values():
            assert known.state in FINAL, known
            done = {index for part in self._parts(known.id) if part.state == "DONE"
                    for index in range(part.first_index, part.first_index + part.item_count)}  # fmt: skip
            failed = [part for part in self._parts(known.id) if part.state == "FAILED"]
            assert not failed or self.counted_kills >= get_settings().part_max_attempts, (failed, known)
            plain = known.kind == "import" and known.options.get("on_duplicate", "create") == "create"
            plain = plain and known.options.get("error_policy") != "reject_everything"
            if plain and not known.options.get("dry_run") and "retried" not in known.cards:
                good = {index for index, kind in enumerate(known.cards) if kind.isupper()} & done
                assert self._cards_ever(known.id) == good, known


@pytest.mark.faults
def test_any_order_of_steps_keeps_the_books(postgres_url, template_database, tmp_path, monkeypatch, request):
    long = request.config.getoption("--long")
    for name, value in {**SMALL, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    install(monkeypatch)
    Engine.server, Engine.template, Engine.patch = postgres_url, template_database, monkeypatch
    try:
        run_state_machine_as_test(
            Engine,
            settings=settings(
                max_examples=400 if long else 12,
                stateful_step_count=60 if long else 40,
                deadline=None,
                print_blob=True,
                phases=tuple(Phase) if long else (Phase.generate,),
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        session.dispose()
        get_settings.cache_clear()
