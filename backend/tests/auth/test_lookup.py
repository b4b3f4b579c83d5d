"""From a key to its caller: what is remembered, for how long, and what a wrong key costs."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from redis import Redis

from backend.api import dependencies
from backend.auth import changes, keys, lookup, store
from backend.core.errors import Unauthenticated, Unavailable
from backend.core.settings import get_settings
from backend.db import redis_client, session


@pytest.fixture(autouse=True)
def nothing_remembered(database):
    lookup.forget()
    redis_client.forget()
    yield
    lookup.forget()
    redis_client.forget()


def admitted(key: str) -> bool:
    """What a request of this key meets, in this process."""
    try:
        dependencies._admit(store.hash_of(key), "cards:read", False)
    except Unauthenticated:
        return False
    return True


def statements_of_this_process(database: str, work) -> int:
    """How many statements ``work`` sends through this process's engine."""
    from sqlalchemy import event

    seen = []
    engine = session.get_engine()
    listener = lambda *arguments: seen.append(arguments[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", listener)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", listener)
    return len(seen)


def test_the_caller_is_whose_key_it_is_and_what_it_may_do(owner):
    user = store.create_user("ada")
    made = store.create_key(user, "k", ["cards:read"], limits={"cards_per_hour": 9})
    who = lookup.authenticate(made.key)
    assert (who.user_id, who.key_id, who.user_name) == (user, made.id, "ada")
    assert who.scopes == {"cards:read"}
    assert who.limits == {"cards_per_hour": 9}


@pytest.mark.parametrize("key", ["", "x", "extro_live_" + "0" * 38, keys.make(b"another pepper", b"s" * 32)])
def test_a_forged_key_never_reaches_the_database(database, key):
    def attempt() -> None:
        with pytest.raises(Unauthenticated):
            lookup.authenticate(key)

    assert statements_of_this_process(database, attempt) == 0


def test_a_useless_key_reaches_the_database_once_in_ten_seconds(database, owner):
    made = store.create_key(owner, "k")
    store.revoke(owner, made.id)

    def attempts() -> None:
        for _ in range(100):
            with pytest.raises(Unauthenticated):
                lookup.authenticate(made.key)

    assert statements_of_this_process(database, attempts) == 1


def test_a_good_key_is_asked_about_about_once_a_second(database, owner):
    made = store.create_key(owner, "k")
    assert admitted(made.key)

    def requests() -> None:
        for _ in range(200):
            assert admitted(made.key)

    assert statements_of_this_process(database, requests) <= 2


def test_an_expired_key_is_refused_to_the_moment_also_where_it_is_remembered(owner):
    ends = datetime.now(UTC) + timedelta(seconds=0.6)
    made = store.create_key(owner, "k", expires_at=ends)
    assert admitted(made.key)
    time.sleep(max(0, (ends - datetime.now(UTC)).total_seconds()) + 0.01)
    assert not admitted(made.key)


def test_a_revoked_key_is_refused_at_once_by_a_process_that_remembers_it(owner):
    for number in range(20):
        made = store.create_key(owner, "k")
        assert admitted(made.key)
        assert lookup.remembered(store.hash_of(made.key)) is not None
        revoke = store.revoke if number else revoke_in_another_process
        revoke(owner, made.id)
        assert not admitted(made.key)


def revoke_in_another_process(owner, key_id) -> None:
    code = "import sys, uuid; from backend.auth import store; store.revoke(*map(uuid.UUID, sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, str(owner), str(key_id)], check=True)


def test_without_redis_nothing_remembered_is_trusted(owner, monkeypatch):
    made = store.create_key(owner, "k")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    assert admitted(made.key)
    assert store.revoke(owner, made.id)
    assert not admitted(made.key)


def test_a_mark_that_is_lost_costs_at_most_a_second(owner, redis_url):
    made = store.create_key(owner, "k")
    assert admitted(made.key)
    store.revoke(owner, made.id)
    with Redis.from_url(redis_url) as client:
        client.flushall()
    started = time.monotonic()
    while admitted(made.key):
        assert time.monotonic() - started < 1.5
        time.sleep(0.02)


def test_a_changed_key_that_is_still_good_goes_on(owner):
    made = store.create_key(owner, "k")
    assert admitted(made.key)
    assert changes.announce(store.hash_of(made.key))
    assert admitted(made.key)


def test_the_last_use_is_noted_at_most_once_a_minute(database, owner):
    made = store.create_key(owner, "k")

    def used() -> datetime | None:
        with psycopg.connect(database) as connection:
            query = "SELECT last_used_at FROM api_keys WHERE id = %s"
            return connection.execute(query, (made.id,)).fetchone()[0]

    assert used() is None
    lookup.authenticate(made.key)
    first = used()
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=5)
    lookup.authenticate(made.key)
    assert used() == first
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    lookup.authenticate(made.key)
    assert used() > first


def test_noting_the_use_never_waits_for_whoever_holds_the_row(database, owner):
    made = store.create_key(owner, "k")
    with psycopg.connect(database) as other:
        other.execute("SELECT 1 FROM api_keys WHERE id = %s FOR UPDATE", (made.id,))
        started = time.monotonic()
        assert lookup.authenticate(made.key).key_id == made.id
        assert time.monotonic() - started < 1


def test_a_database_that_is_down_is_unavailable_not_a_wrong_key(owner, monkeypatch):
    made = store.create_key(owner, "k")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    session.dispose()
    get_settings.cache_clear()
    with pytest.raises(Unavailable):
        lookup.authenticate(made.key)


def test_memory_stays_bounded_under_a_flood_of_useless_keys(database):
    for number in range(lookup.MOST_REMEMBERED + 10):
        lookup._remember_bad(number.to_bytes(32, "big"), time.monotonic() + 10)
    assert len(lookup._bad) <= lookup.MOST_REMEMBERED
