"""Waking workers: an id per runner, and quickly given up while Redis is away."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from redis import Redis

from backend.core.breaker import Breaker
from backend.core.ids import new_operation_id
from backend.queue import dispatch
from backend.queue.celery_app import RUN


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """A producer of this test's own, without a broker yet."""
    made = Celery("test")
    made.conf.update(
        broker_transport_options={"socket_timeout": 30}, task_ignore_result=True, task_publish_retry=False
    )
    dispatch.configure_producer(made)
    monkeypatch.setattr(dispatch, "app", made)
    monkeypatch.setattr(dispatch, "_breaker", Breaker(failures=1, cool_down_seconds=0.3))
    yield made
    made.close()


def test_a_message_carries_the_id_and_nothing_else_once_per_runner(celery, redis_url):
    celery.conf.broker_url = redis_url
    operation = new_operation_id()
    with Redis.from_url(redis_url) as client:
        client.delete("celery")
        assert dispatch.wake(operation, 3)
        assert client.llen("celery") == 3
        message = json.loads(client.lpop("celery"))
        client.delete("celery")
    assert message["headers"]["task"] == RUN
    assert str(operation) in message["headers"]["argsrepr"]
    assert message["headers"]["kwargsrepr"] == "{}"
    assert len(json.dumps(message)) < 2_000


def test_a_redis_that_refuses_costs_little_and_the_next_calls_nothing(celery):
    celery.conf.broker_url = "redis://127.0.0.1:1/0"
    began = time.monotonic()
    assert not dispatch.wake(new_operation_id(), 4)
    assert time.monotonic() - began < 1
    began = time.monotonic()
    for _ in range(1_000):
        assert not dispatch.wake(new_operation_id(), 4)
    assert time.monotonic() - began < 0.3


def test_a_redis_that_says_nothing_costs_little(celery):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        celery.conf.broker_url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        began = time.monotonic()
        assert not dispatch.wake(new_operation_id())
        assert time.monotonic() - began < 2
