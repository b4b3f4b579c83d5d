"""Rates and quotas on a real Redis."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from redis import Redis

from backend.auth.scopes import LIMITS
from backend.core.errors import RateLimited
from backend.core.settings import get_settings
from backend.db import redis_client
from backend.limits import headers, quotas, rates
from backend.limits.rates import Bucket, spend


@dataclass(frozen=True)
class Key:
    user_id: uuid.UUID = field(default_factory=uuid.uuid4)
    key_id: uuid.UUID = field(default_factory=uuid.uuid4)
    limits: dict[str, int] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def redis(redis_url, monkeypatch):
    """An empty Redis that this process is connected to."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    redis_client.forget()
    with Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client
    redis_client.forget()
    get_settings.cache_clear()


def settings(monkeypatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), str(value))
    get_settings.cache_clear()


def bucket(limit: int = 10, window: int = 60, cost: int = 1, name: str = "b") -> Bucket:
    return Bucket(name, "requests", limit, window, cost)


def passes(one: Bucket) -> bool:
    try:
        spend([one])
    except RateLimited:
        return False
    return True


def test_a_limit_can_be_spent_whole_and_no_further():
    standings = [spend([bucket(limit=5)]).standings[0] for _ in range(5)]
    assert [one.remaining for one in standings] == [4, 3, 2, 1, 0]
    assert standings[-1].reset == 60
    with pytest.raises(RateLimited) as refused:
        spend([bucket(limit=5)])
    assert refused.value.retry_after == 12  # a fifth of the window brings one back
    assert refused.value.detail == "Too many requests: at most 5 per minute"


def test_what_was_spent_comes_back_evenly():
    for _ in range(20):
        spend([bucket(limit=20, window=1)])
    with pytest.raises(RateLimited):
        spend([bucket(limit=20, window=1)])
    time.sleep(0.26)
    passed = sum(passes(bucket(limit=20, window=1)) for _ in range(20))
    assert 4 <= passed <= 12  # five twentieths of a second, and what passes while we look


def test_refused_requests_cost_nothing():
    spend([bucket(limit=2, window=1, cost=2)])
    for _ in range(50):
        with pytest.raises(RateLimited):
            spend([bucket(limit=2, window=1)])
    time.sleep(0.55)
    assert spend([bucket(limit=2, window=1)]).counted


def test_several_buckets_are_spent_together_or_not_at_all(redis):
    wide, narrow = bucket(limit=10, name="wide"), bucket(limit=1, name="narrow")
    spend([wide, narrow])
    with pytest.raises(RateLimited) as refused:
        spend([wide, narrow])
    assert refused.value.limit == 1
    assert spend([wide]).standings[0].remaining == 8


def test_parallel_requests_never_exceed_the_limit():
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(passes, [bucket(limit=50, window=3600)] * 200)) == 50


def test_more_than_the_whole_limit_is_refused_without_asking_redis():
    with pytest.raises(RateLimited) as refused:
        spend([bucket(limit=10, window=3600, cost=11)])
    assert refused.value.retry_after == 3600
    assert spend([bucket(limit=10, window=3600)]).standings[0].remaining == 9


def test_nothing_is_left_behind_once_a_bucket_is_whole_again(redis):
    spend([bucket(limit=10, window=1)])
    assert len(redis.keys("extrophi:rate:*")) == 1
    time.sleep(0.2)
    assert redis.keys("extrophi:rate:*") == []


def test_a_very_large_limit_is_exact():
    assert spend([bucket(limit=5_000_000, window=3600, cost=4_999_999)]).standings[0].remaining == 1
    spend([bucket(limit=5_000_000, window=3600)])


def test_a_mark_stops_everything_and_nothing_is_counted(redis):
    redis.set("the-mark", "1")
    assert spend([bucket(limit=1)], mark="the-mark").marked
    redis.delete("the-mark")
    spent = spend([bucket(limit=1)], mark="the-mark")
    assert not spent.marked
    assert spent.standings[0].remaining == 0


def test_a_flush_of_redis_and_of_its_scripts_is_survived(redis):
    spend([bucket()])
    redis.flushall()
    redis.script_flush()
    assert spend([bucket()]).standings[0].remaining == 9


# --- whose limits -------------------------------------------------------------------------------------------


def test_each_key_has_its_own_rate_and_operations_a_second_one(monkeypatch):
    settings(monkeypatch, rate_limit_requests_per_minute=5, rate_limit_operations_per_minute=2)
    one, other = Key(), Key()
    for _ in range(2):
        assert {s.policy for s in quotas.count_request(one, operation=True).standings} == {
            "requests",
            "operations",
        }
    with pytest.raises(RateLimited) as refused:
        quotas.count_request(one, operation=True)
    assert refused.value.policy == "operations"
    assert quotas.count_request(one).standings[0].remaining == 2
    assert quotas.count_request(other, operation=True).standings[0].remaining == 4


def test_limits_of_a_keys_own_are_used():
    key = Key(limits={"requests_per_minute": 3, "operations_per_minute": 1})
    assert [one.limit for one in quotas.count_request(key, operation=True).standings] == [3, 1]
    assert set(key.limits) | {"cards_per_hour"} == set(LIMITS)


def test_cards_are_counted_per_owner_whatever_the_key(monkeypatch):
    settings(monkeypatch, quota_cards_per_hour=1000)
    one = Key()
    same_owner = Key(user_id=one.user_id)
    quotas.charge_cards(one, 600)
    with pytest.raises(RateLimited) as refused:
        quotas.charge_cards(same_owner, 500)
    assert refused.value.detail == "Too many cards: at most 1000 per hour"
    assert 350 <= refused.value.retry_after <= 360  # 100 cards of 1,000 an hour
    quotas.charge_cards(Key(), 1000)


def test_a_refund_gives_back_what_was_charged(monkeypatch):
    settings(monkeypatch, quota_cards_per_hour=1000)
    key = Key()
    quotas.charge_cards(key, 1000)
    quotas.refund_cards(key, 700)
    quotas.charge_cards(key, 700)
    with pytest.raises(RateLimited):
        quotas.charge_cards(key, 10)
    quotas.refund_cards(key, 5000)  # never more than there was
    with pytest.raises(RateLimited):
        quotas.charge_cards(key, 1001)
    quotas.charge_cards(key, 1000)


def test_a_lower_quota_of_a_key_also_draws_on_the_owners(monkeypatch):
    settings(monkeypatch, quota_cards_per_hour=1000)
    common = Key()
    low = Key(user_id=common.user_id, limits={"cards_per_hour": 100})
    quotas.charge_cards(low, 100)
    with pytest.raises(RateLimited) as refused:
        quotas.charge_cards(low, 10)
    assert refused.value.limit == 100
    with pytest.raises(RateLimited):
        quotas.charge_cards(common, 950)
    high = Key(user_id=common.user_id, limits={"cards_per_hour": 5000})
    quotas.charge_cards(high, 4000)


def test_nothing_is_counted_when_limits_are_off_but_marks_are_still_seen(monkeypatch, redis):
    settings(monkeypatch, rate_limit_enabled="false", quota_cards_per_hour=1)
    key = Key(limits={"requests_per_minute": 1})
    for _ in range(3):
        assert quotas.count_request(key).standings == ()
        quotas.charge_cards(key, 10)
    redis.set("m", "1")
    assert quotas.count_request(key, mark="m").marked


# --- Redis away ---------------------------------------------------------------------------------------------


def uncounted() -> float:
    return rates.UNAVAILABLE._value.get()


def test_a_redis_that_refuses_connections_lets_everything_pass_and_is_counted(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings(monkeypatch, redis_url=f"redis://127.0.0.1:{free.getsockname()[1]}/0")
        before = uncounted()
        started = time.monotonic()
        for _ in range(100):
            assert not quotas.count_request(Key()).counted
            quotas.charge_cards(Key(), 10_000_000 // 2)
        assert time.monotonic() - started < 0.5
        assert uncounted() - before == 200


def test_a_silent_redis_costs_a_tenth_of_a_second_once(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        settings(monkeypatch, redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()
        assert not quotas.count_request(Key()).counted
        first = time.monotonic() - started
        assert first < 0.35, first
        for _ in range(100):
            quotas.count_request(Key())
        assert time.monotonic() - started - first < 0.1


def test_redis_is_used_again_once_it_is_back(monkeypatch, redis_url):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings(monkeypatch, redis_url=f"redis://127.0.0.1:{free.getsockname()[1]}/0")
        assert not quotas.count_request(Key()).counted
    relay = Relay(redis_url)
    try:
        settings(monkeypatch, redis_url=relay.url)
        assert quotas.count_request(Key()).counted
        relay.cut()
        assert not quotas.count_request(Key()).counted
        relay.listen()
        deadline = time.monotonic() + 5
        while not quotas.count_request(Key()).counted:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        relay.cut()


def test_a_connection_that_went_stale_is_replaced_without_a_failure(monkeypatch, redis_url):
    relay = Relay(redis_url)
    try:
        settings(monkeypatch, redis_url=relay.url)
        assert quotas.count_request(Key()).counted
        relay.drop_connections()
        assert quotas.count_request(Key()).counted
    finally:
        relay.cut()


class Relay:
    """A TCP relay before Redis that can be cut, on one port."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.target = (parts.hostname, parts.port)
        self.before, self.after = url[: url.index("://") + 3], parts.path
        if parts.password:
            self.before += f":{parts.password}@"
        self.port = 0
        self.sockets: list[socket.socket] = []
        self.listen()

    @property
    def url(self) -> str:
        return f"{self.before}127.0.0.1:{self.port}{self.after}"

    def listen(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            outer = socket.create_connection(self.target)
            self.sockets += [inner, outer]
            for a, b in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def drop_connections(self) -> None:
        for one in self.sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.sockets.clear()

    def cut(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop_connections()


# --- header fields ------------------------------------------------------------------------------------------


def test_the_fields_of_an_answer_follow_the_draft():
    key = Key(limits={"requests_per_minute": 100, "operations_per_minute": 10})
    fields = headers.of_standings(quotas.count_request(key, operation=True).standings)
    assert fields == {
        "RateLimit-Policy": '"requests";q=100;w=60, "operations";q=10;w=60',
        "RateLimit": '"requests";r=99;t=1, "operations";r=9;t=6',
    }
    assert headers.of_standings(()) == {}


def test_the_fields_of_a_refusal_say_when_to_come_back():
    key = Key(limits={"requests_per_minute": 1})
    quotas.count_request(key)
    with pytest.raises(RateLimited) as refused:
        quotas.count_request(key)
    assert headers.of_refusal(refused.value) == {
        "Retry-After": "60",
        "RateLimit-Policy": '"requests";q=1;w=60',
        "RateLimit": '"requests";r=0;t=60',
    }
