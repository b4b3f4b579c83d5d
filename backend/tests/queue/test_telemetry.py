"""Signs of life of workers, and what the queue says when Redis does not."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from redis import Redis

from backend.core.settings import get_settings
from backend.db import redis_client
from backend.db.redis_client import RedisDown
from backend.queue import telemetry


@pytest.fixture(autouse=True)
def connected(database):
    """Redis is empty, and this process has not yet asked it."""
    redis_client.forget()
    yield
    redis_client.forget()


def test_a_worker_counts_from_its_start_to_its_end():
    worker = SimpleNamespace(hostname="worker1@here")
    assert telemetry.workers_alive() == 0
    telemetry._ready(sender=worker)
    telemetry._beats(sender=SimpleNamespace(eventer=SimpleNamespace(hostname="worker2@here")))
    assert telemetry.workers_alive() == 2
    telemetry._ready(sender=worker)
    assert telemetry.workers_alive() == 2
    telemetry._gone(sender=worker)
    assert telemetry.workers_alive() == 1


def test_one_that_gives_no_sign_of_life_counts_no_more_and_is_forgotten(redis_url):
    with Redis.from_url(redis_url) as client:
        client.zadd(telemetry.WORKERS, {"silent": time.time() - 9, "long gone": time.time() - 4_000})
        assert telemetry.workers_alive() == 0
        telemetry._ready(sender=SimpleNamespace(hostname="worker1@here"))
        assert client.zscore(telemetry.WORKERS, "long gone") is None
    assert telemetry.workers_alive() == 1


def test_a_redis_that_is_down_is_an_error_at_once_and_a_sign_of_life_is_dropped(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    with pytest.raises(RedisDown):
        telemetry.workers_alive()
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(RedisDown):
            telemetry.queue()
        telemetry._ready(sender=SimpleNamespace(hostname="worker1@here"))
    assert time.monotonic() - began < 0.5
