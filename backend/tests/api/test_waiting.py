"""Who waits for an operation's end is woken by its announcement, and finds it without one too."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from redis import Redis

from backend.api import waiting
from backend.core.settings import get_settings
from backend.db import redis_client
from backend.operations import actions, news
from backend.operations.idempotency import Answer
from backend.tests.support.engine import Engine, card

NEVER = 3_600.0


@pytest.fixture
def engine(owner: UUID) -> Engine:
    return Engine(owner)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[list[UUID]]:
    """What PostgreSQL was asked about; it is asked really."""
    asked: list[list[UUID]] = []
    really = waiting._over

    def over(ids: list[UUID]) -> list[UUID]:
        asked.append(ids)
        return really(ids)

    monkeypatch.setattr(waiting, "_over", over)
    return asked


@pytest.fixture(autouse=True)
def channel(monkeypatch: pytest.MonkeyPatch) -> str:
    """A channel of this test's own: those of Redis are everybody's who uses it."""
    name = f"{news.CHANNEL}:{uuid4()}"
    monkeypatch.setattr(news, "CHANNEL", name)
    monkeypatch.setattr(waiting, "CHANNEL", name)
    return name


def waited(operation: UUID, beside: Callable[[], None] = lambda: None, seconds: float = 20) -> float:
    """Wait while ``beside`` runs in a thread; the seconds it took."""
    other = threading.Thread(target=beside)
    began = time.monotonic()
    other.start()
    asyncio.run(waiting.until_over(operation, seconds))
    took = time.monotonic() - began
    other.join()
    return took


def await_listeners(redis_url: str, wanted: int = 1) -> None:
    with Redis.from_url(redis_url) as redis:
        until(lambda: redis.pubsub_numsub(news.CHANNEL)[0][1] == wanted)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def await_calm(redis_url: str, looks: list[list[UUID]]) -> int:
    """Until somebody listens and the look that follows the subscription is over; how many there were."""
    await_listeners(redis_url)
    before = -1
    while before != len(looks):
        before = len(looks)
        time.sleep(0.5)  # several of the ticks there are while nobody listens
    return before


def test_an_end_is_heard_without_looking_for_it(engine, redis_url, looks, monkeypatch):
    monkeypatch.setattr(waiting, "HEARD_TICK_SECONDS", NEVER)
    operation = engine.imports([card(0)])

    def work() -> None:
        before.append(await_calm(redis_url, looks))
        engine.run()

    before: list[int] = []
    assert waited(operation, work) < 15
    assert before == [len(looks)]
    assert engine.status(operation)["status"] == "SUCCESS"


def test_a_cancelled_operation_is_heard_too(engine, redis_url, looks, monkeypatch):
    monkeypatch.setattr(waiting, "HEARD_TICK_SECONDS", NEVER)
    operation = engine.imports([card(0)])

    def cancel() -> None:
        await_calm(redis_url, looks)
        actions.cancel(engine.caller, operation, None, lambda _: Answer(200, {}))

    assert waited(operation, cancel) < 15


def test_what_ended_before_anybody_listened_is_found_at_once(engine, monkeypatch):
    monkeypatch.setattr(waiting, "HEARD_TICK_SECONDS", NEVER)
    operation = engine.imports([card(0)])
    engine.run()
    assert waited(operation) < 5


def test_an_end_that_nobody_announced_is_found_at_the_next_look(engine, redis_url, looks, monkeypatch):
    monkeypatch.setattr(news, "announce", lambda _: None)
    operation = engine.imports([card(0)])

    def work() -> None:
        await_calm(redis_url, looks)
        engine.run()

    assert waited(operation, work) < 15


def test_without_redis_it_is_looked_for_often(engine, looks, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(waiting, "HEARD_TICK_SECONDS", NEVER)
    get_settings.cache_clear()
    operation = engine.imports([card(0)])

    def work() -> None:
        until(lambda: len(looks) > 5)
        engine.run()

    assert waited(operation, work) < 15


def test_a_listener_that_was_cut_off_listens_again(engine, redis_url, monkeypatch):
    monkeypatch.setattr(waiting, "HEARD_TICK_SECONDS", NEVER)
    monkeypatch.setattr(waiting, "_over", lambda _: [])
    operation = engine.imports([card(0)])

    def work() -> None:
        await_listeners(redis_url)
        with Redis.from_url(redis_url) as redis:
            first = {client["id"] for client in redis.client_list(_type="pubsub")}
            redis.client_kill_filter(_type="pubsub")
            # Redis counts a client that it is just closing among the subscribers.
            until(lambda: {client["id"] for client in redis.client_list(_type="pubsub")} - first)
        await_listeners(redis_url)
        engine.run()

    assert waited(operation, work) < 15


def test_the_time_over_nobody_listens_any_more(engine, redis_url):
    operation = engine.imports([card(0)])
    assert 0.5 <= waited(operation, seconds=0.5) < 5
    await_listeners(redis_url, 0)


def test_who_comes_while_the_last_listener_ends_is_answered_too(engine, monkeypatch):
    really = waiting._end

    async def late(task: asyncio.Task[None]) -> None:
        await asyncio.sleep(0.5)
        await really(task)

    monkeypatch.setattr(waiting, "_end", late)
    operation = engine.imports([card(0)])
    engine.run()

    async def one_after_another() -> None:
        for pause in (0, 0.1, 0.2, 0.01):
            await waiting.until_over(operation, 20)
            await asyncio.sleep(pause)

    began = time.monotonic()
    asyncio.run(one_after_another())
    assert time.monotonic() - began < 15


def test_a_listener_ends_wherever_it_is(engine, redis_url):
    """redis-py swallows a cancellation that comes while it connects."""
    operation = engine.imports([card(0)])
    for step in range(100):
        assert waited(operation, seconds=step * 0.0002) < 5
    await_listeners(redis_url, 0)


def test_many_wait_with_one_connection_and_one_look(engine, redis_url, looks):
    operations = [engine.imports([card(0)]) for _ in range(3)]

    async def all_of_them() -> None:
        waits = [waiting.until_over(one, 20) for one in operations for _ in range(50)]
        await asyncio.gather(*waits)

    def work() -> None:
        await_listeners(redis_url)
        engine.run()

    other = threading.Thread(target=work)
    other.start()
    asyncio.run(all_of_them())
    other.join()
    assert len(looks) < 20


def test_a_redis_that_lets_nobody_publish_is_not_down(engine, redis_url, monkeypatch):
    user, password = "reader", "x" * 20
    operation = engine.imports([card(0)])
    with Redis.from_url(redis_url) as redis:
        redis.acl_setuser(
            user, enabled=True, passwords=[f"+{password}"], commands=["+@all", "-publish"], keys=["*"]
        )
        try:
            address = redis_url.rpartition("@")[2]
            monkeypatch.setenv("REDIS_URL", f"redis://{user}:{password}@{address}")
            get_settings.cache_clear()
            news.announce(operation)
            assert redis_client.ask(lambda client: client.ping())
        finally:
            redis.acl_deluser(user)
