"""Cancel, retry, undo, restore."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from backend.core.errors import Conflict, NotFound
from backend.operations import actions, report
from backend.operations.idempotency import Answer
from backend.tests.support.engine import Engine, card, repeatable


def cancel(engine: Engine, task: UUID, key: str | None = None) -> Answer:
    def answer(connection: Connection) -> Answer:
        return Answer(200, report.current(connection, engine.owner, task) or {})

    return actions.cancel(engine.caller, task, repeatable(key) if key else None, answer)


def test_cancelling_what_waits_ends_it_at_once(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(500)])
    body = cancel(engine, task).body
    assert (body["status"], body["error"]) == ("FAILURE", "Cancelled")
    engine.run()
    assert engine.cards() == []
    assert {line["outcome"] for line in engine.results(task)} == {"cancelled"}


def test_cancelling_keeps_what_was_done(engine: Engine) -> None:
    task = engine.imports([card(i) for i in range(400)])
    engine.runner().run_one()
    assert cancel(engine, task).body["result"]["cards_imported"] == 100
    engine.run()
    assert len(engine.cards()) == 100
    assert engine.books() == []
    undone = engine.done(actions.undo(engine.caller, task, None))
    assert undone["result"]["cards_deleted"] == 100
    assert engine.cards() == []


def test_the_part_in_flight_ends_and_then_the_operation(engine: Engine) -> None:
    from backend.core.settings import get_settings
    from backend.db.session import unit_of_work
    from backend.operations import claiming

    task = engine.imports([card(i) for i in range(300)])
    with unit_of_work() as connection:
        (candidate,) = claiming.candidates(connection, get_settings())
        assert claiming.take(connection, candidate, get_settings()) is not None
        assert cancel(engine, task).body["status"] == "PENDING"
    from backend.operations import recovery

    recovery.sweep()  # as after a kill of the runner that held the part
    assert engine.status(task)["error"] == "Cancelled"


def test_what_is_over_cannot_be_cancelled(engine: Engine) -> None:
    task = engine.imports([card(0)])
    engine.run()
    with pytest.raises(Conflict):
        cancel(engine, task)


def test_a_repeated_cancel_with_the_same_key_gets_the_same_answer(engine: Engine) -> None:
    task = engine.imports([card(0)])
    first = cancel(engine, task, "k")
    again = cancel(engine, task, "k")
    assert again.body == first.body
    assert again.replayed


@pytest.mark.parametrize("what", [actions.retry, actions.undo])
def test_somebody_elses_operation_is_as_unknown_as_any(engine: Engine, what: object) -> None:
    task = engine.imports([card(0)])
    engine.run()
    other = actions.Caller(uuid4())
    for caller, operation in ((other, task), (engine.caller, uuid4())):
        with pytest.raises(NotFound, match="Operation not found"):
            what(caller, operation, None)  # type: ignore[operator]


def test_retry_takes_only_what_failed_as_it_was_sent(engine: Engine) -> None:
    task = engine.imports([card(0), {"title": "bad"}, card(2), b'{"title": "also",  "bad": 1}'])
    engine.run()
    again = actions.retry(engine.caller, task, None)
    status = engine.done(again)
    assert status["result"]["cards_failed"] == 2
    records = [error.record for error in engine.errors(UUID(again.body["task_id"]))]
    assert records == [b'{"title": "bad"}', b'{"title": "also",  "bad": 1}']
    assert engine.operation(UUID(again.body["task_id"])).parent_id == task


def test_retry_of_what_did_not_fail_is_refused(engine: Engine) -> None:
    task = engine.imports([card(0)])
    with pytest.raises(Conflict, match="not over"):
        actions.retry(engine.caller, task, None)
    engine.run()
    with pytest.raises(Conflict, match="nothing to retry"):
        actions.retry(engine.caller, task, None)


def test_undo_of_an_import_deletes_exactly_its_cards(engine: Engine) -> None:
    kept = engine.imports([card(i) for i in range(150)])
    task = engine.imports([card(i) for i in range(150, 400)] + [{"title": "bad"}])
    engine.run()
    result = engine.done(actions.undo(engine.caller, task, None))["result"]
    assert (result["cards_deleted"], result["cards_skipped"]) == (250, 1)
    from backend.core.ids import operation_of

    assert {operation_of(one.id) for one in engine.cards()} == {kept}
    assert engine.books() == []


def test_undo_of_the_undo_gives_back_the_same_rows(engine: Engine) -> None:
    task = engine.imports([card(i, metadata={"deleted": "mine"} if i % 2 else {}) for i in range(150)])
    engine.run()
    columns = "SELECT id, title, metadata, published_url, is_published, updated_at FROM cards ORDER BY id"
    before = engine.rows(columns)
    undone = actions.undo(engine.caller, task, None)
    engine.done(undone)
    assert engine.cards() == []
    result = engine.done(actions.undo(engine.caller, UUID(undone.body["task_id"]), None))["result"]
    assert result["cards_restored"] == 150
    assert engine.rows(columns) == before
    assert engine.books() == []


def test_undo_of_a_delete_brings_back_only_what_it_removed(engine: Engine) -> None:
    engine.done(engine.imports([card(i) for i in range(10)]))
    ids = [one.id for one in engine.cards()]
    engine.done(engine.deletes(ids[:3]))
    second = engine.deletes(ids[2:6])
    engine.run()
    result = engine.done(actions.undo(engine.caller, second, None))["result"]
    assert result["cards_restored"] == 3
    assert [one.id for one in engine.cards()] == ids[3:]


def test_undo_leaves_what_was_deleted_again_since(engine: Engine) -> None:
    engine.done(engine.imports([card(0)]))
    ids = [one.id for one in engine.cards()]
    first = engine.deletes(ids)
    engine.run()
    engine.done(engine.deletes(ids, kind="restore"))
    engine.done(engine.deletes(ids))
    result = engine.done(actions.undo(engine.caller, first, None))["result"]
    assert (result["cards_restored"], result["cards_skipped"]) == (0, 1)
    assert engine.cards() == []


@pytest.mark.parametrize("options", [{"dry_run": True}, {}])
def test_what_changed_nothing_or_for_good_cannot_be_undone(engine: Engine, options: dict[str, bool]) -> None:
    if options:
        task = engine.imports([card(0)], **options)
    else:
        engine.done(engine.imports([card(0)]))
        task = engine.deletes([one.id for one in engine.cards()], soft_delete=False)
    engine.run()
    with pytest.raises(Conflict, match="can be undone"):
        actions.undo(engine.caller, task, None)


def test_restore_of_what_is_not_deleted_names_each_id(engine: Engine) -> None:
    engine.done(engine.imports([card(0), card(1)]))
    ids = [one.id for one in engine.cards()]
    engine.done(engine.deletes(ids[:1]))
    task = engine.deletes([*ids, uuid4()], kind="restore")
    result = engine.done(task)["result"]
    assert (result["cards_restored"], result["cards_failed"]) == (1, 2)
    assert [error.code for error in engine.errors(task)] == ["not_found", "not_found"]
