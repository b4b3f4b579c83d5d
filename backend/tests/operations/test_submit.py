"""Accepting operations: one commit, one operation per key, limits on what waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.core.errors import IdempotencyMismatch, RateLimited
from backend.core.ids import new_operation_id
from backend.core.settings import get_settings
from backend.formats.base import Record, batched
from backend.operations import idempotency, parts, retention
from backend.operations.idempotency import Answer
from backend.operations.store import NewOperation
from backend.operations.submit import Submission, replay, sizes, submit
from backend.tests.support.engine import DEFAULTS, Engine, card, cut, repeatable


def offer(engine: Engine, key: str, body: bytes = b"body") -> Answer:
    new = NewOperation(new_operation_id(), engine.owner, "import", 4, DEFAULTS)
    staged = cut([b"{}"] * 200)
    return submit(Submission(new, staged, "{count} cards"), repeatable(key, body))


def test_fifty_equal_requests_at_once_make_one_operation(engine: Engine) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: offer(engine, "same"), range(50)))
    assert len({answer.body["task_id"] for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert engine.rows("SELECT count(*) FROM operations")[0][0] == 1
    assert engine.rows("SELECT count(*) FROM operation_parts")[0][0] == 2


def test_requests_that_wait_for_an_equal_one_hold_no_connections(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one takes longer than anybody waits for a connection, and others are answered meanwhile."""
    monkeypatch.setenv("DB_POOL_SIZE", "2")
    monkeypatch.setenv("DB_POOL_OVERFLOW", "0")
    monkeypatch.setenv("DB_POOL_TIMEOUT_SECONDS", "0.3")
    monkeypatch.setenv("FAILPOINT", "submit.before_commit:sleep=1")
    get_settings.cache_clear()
    with ThreadPoolExecutor(9) as pool:
        equal = [pool.submit(offer, engine, "same") for _ in range(8)]
        other = pool.submit(offer, engine, "other")
        answers = [one.result() for one in equal]
        assert other.result().body["task_id"] != answers[0].body["task_id"]
    assert len({answer.body["task_id"] for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert idempotency._turns == {}


def test_a_key_with_another_body_is_refused(engine: Engine) -> None:
    offer(engine, "key")
    with pytest.raises(IdempotencyMismatch):
        offer(engine, "key", b"other")
    with pytest.raises(IdempotencyMismatch):
        replay(engine.owner, repeatable("key", b"other"))


def test_keys_of_two_owners_do_not_meet(engine: Engine) -> None:
    other = Engine(
        engine.rows("INSERT INTO users (id, name) VALUES (gen_random_uuid(), 'o') RETURNING id")[0][0]
    )
    assert offer(engine, "key").body["task_id"] != offer(other, "key").body["task_id"]


def test_a_key_is_free_again_after_its_time(engine: Engine) -> None:
    first = offer(engine, "key")
    engine.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING 1")
    assert replay(engine.owner, repeatable("key", b"body")) is None
    second = offer(engine, "key", b"other")
    assert second.body["task_id"] != first.body["task_id"]
    assert offer(engine, "key", b"other").body == second.body


def test_a_refused_submission_leaves_nothing_not_even_its_key(engine: Engine) -> None:
    def refuse(_: int) -> None:
        raise RateLimited("too many cards", retry_after=5)

    new = NewOperation(new_operation_id(), engine.owner, "import", 4, DEFAULTS)
    staged = cut([b"{}"])
    with pytest.raises(RateLimited):
        submit(Submission(new, staged, "{count}", charge=refuse), repeatable("key"))
    assert engine.rows("SELECT count(*) FROM operations")[0][0] == 0
    assert replay(engine.owner, repeatable("key")) is None


def test_so_many_operations_may_wait_and_no_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_WAITING_OPERATIONS", "3")
    get_settings.cache_clear()
    for _ in range(3):
        engine.imports([card(0)])
    with pytest.raises(RateLimited) as refused:
        engine.imports([card(0)])
    assert refused.value.retry_after >= 1
    engine.run()
    engine.imports([card(0)])


def test_the_estimate_comes_from_what_was_measured(engine: Engine) -> None:
    engine.done(engine.imports([card(i) for i in range(100)]))
    engine.rows("UPDATE operations SET finished_at = started_at + interval '10 seconds' RETURNING 1")
    assert offer(engine, "key").body["estimated_duration_seconds"] == 20


def test_a_stream_is_cut_into_growing_parts(engine: Engine) -> None:
    records = (Record(b"{}", 7) for _ in range(30_000))
    staged = parts.cut_stream(batched(records), sizes(get_settings()))
    task = engine.start("import", staged, DEFAULTS)  # type: ignore[arg-type]
    counts = [
        row[0]
        for row in engine.rows(
            "SELECT item_count FROM operation_parts WHERE operation_id = :id ORDER BY part_no", id=task
        )
    ]
    assert sum(counts) == 30_000
    assert counts[0] == 100
    assert max(counts) == 2_500
    assert engine.operation(task).total_items == 30_000


def test_the_purge_deletes_what_is_past_its_time_and_only_that(engine: Engine) -> None:
    old = engine.imports([{"title": "bad"}])
    new = engine.imports([{"title": "bad"}])
    waiting = [offer(engine, "a"), offer(engine, "b")]
    engine.run()
    assert waiting
    engine.rows(
        "UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key = 'a' RETURNING 1"
    )
    engine.rows(
        "UPDATE operations SET finished_at = now() - interval '31 days' WHERE id = :id RETURNING 1", id=old
    )
    purged = retention.purge()
    assert (purged.idempotency_keys, purged.item_errors, purged.operations) == (1, 1, 0)
    assert engine.errors(old) == []
    assert len(engine.errors(new)) == 1
    engine.rows(
        "UPDATE operations SET finished_at = now() - interval '2 years' WHERE id = :id RETURNING 1", id=old
    )
    assert retention.purge().operations == 1
    assert retention.purge() == retention.Purged()
