"""The fixtures that every other test stands on."""

from __future__ import annotations

import psycopg
from redis import Redis
from sqlalchemy import text

from backend.core.settings import get_settings
from backend.db.session import unit_of_work


def test_the_settings_point_at_the_fresh_database(database, redis_url):
    assert get_settings().database_url == database
    assert get_settings().redis_url == redis_url
    with unit_of_work() as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar() == 0


def test_each_test_gets_its_own_database(database, owner):
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT id FROM users").fetchall() == [(owner,)]


def test_redis_is_empty(database, redis_url):
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_empty_again(database, redis_url):
    with Redis.from_url(redis_url) as client:
        assert client.get("left") is None
