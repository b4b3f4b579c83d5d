"""The embedded Redis."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from backend.embedded.redis import EmbeddedRedis


@pytest.fixture
def server(tmp_path: Path):
    one = EmbeddedRedis(tmp_path / "a folder" / "redis", log=tmp_path / "redis.log")
    one.start()
    yield one
    one.stop()


def test_it_keeps_what_it_holds_across_a_stop(server):
    with Redis.from_url(server.url()) as client:
        client.lpush("queue", "one", "two")
    server.stop()
    server.start()
    with Redis.from_url(server.url()) as client:
        assert client.lrange("queue", 0, -1) == [b"two", b"one"]


def test_it_comes_back_after_a_kill(server):
    os.kill(server.child.pid, signal.SIGKILL)
    while server.child.ended() is None:
        time.sleep(0.01)
    server.child.start()
    assert server.wait_ready(5)


def test_it_never_evicts_and_writes_an_append_only_file(server):
    with Redis.from_url(server.url()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("save") == {"save": ""}


def test_nobody_connects_without_the_password(server):
    with Redis(port=server.port) as client, pytest.raises(AuthenticationError):
        client.ping()


def test_its_configuration_is_private(server):
    assert (server.folder / "redis.conf").stat().st_mode & 0o077 == 0
    assert (server.folder / "password").stat().st_mode & 0o077 == 0
