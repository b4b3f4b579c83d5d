"""Senders that take their time: silent, dripping, or many at once. On real sockets."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from backend.auth import store
from backend.tests.support.live import live_api

IDLE_SECONDS, TOTAL_SECONDS = 0.5, 2.0
MANY = 100
KINDS = ("application/json", "text/csv", "multipart/form-data; boundary=b")


@pytest.fixture
def patience() -> dict[str, str]:
    return {
        "BODY_IDLE_TIMEOUT_SECONDS": str(IDLE_SECONDS),
        "BODY_TOTAL_TIMEOUT_SECONDS": str(TOTAL_SECONDS),
    }


@pytest.fixture
def server(database: str, patience: dict[str, str]) -> Iterator[int]:
    with live_api(**patience) as port:
        yield port


@pytest.fixture
def key(owner) -> str:
    return store.create_key(owner, "k").key


def opened(port: int, key: str, kind: str, *, chunked: bool = False) -> socket.socket:
    """A connection on which an import was announced, and no byte of its body sent."""
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000"
    head = f"POST /bulk/import HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{length}\r\n"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(head.encode() + b"\r\n")
    return connection


def answer(connection: socket.socket) -> str:
    """The first line of the answer."""
    with connection.makefile("rb") as lines:
        return lines.readline().decode().strip()


def test_a_silent_sender_is_cut_and_told_why(server: int, key: str) -> None:
    for kind in KINDS:
        for chunked in (False, True):
            began = time.monotonic()
            with opened(server, key, kind, chunked=chunked) as connection:
                assert answer(connection) == "HTTP/1.1 408 Request Timeout", (kind, chunked)
            assert time.monotonic() - began >= IDLE_SECONDS * 0.9


def test_a_dripping_sender_never_silent_is_cut_at_the_whole_bodys_time(server: int, key: str) -> None:
    for kind in KINDS[:2]:
        began = time.monotonic()
        with opened(server, key, kind) as connection:
            connection.settimeout(IDLE_SECONDS / 5)
            told = b""
            while not told and time.monotonic() - began < 10 * TOTAL_SECONDS:
                connection.sendall(b" ")
                try:
                    told = connection.recv(100)
                except TimeoutError:
                    continue
        assert told.startswith(b"HTTP/1.1 408"), (kind, told)
        assert time.monotonic() - began >= TOTAL_SECONDS * 0.9


def test_without_a_key_nobody_waits_for_the_body(server: int) -> None:
    for kind in KINDS:
        began = time.monotonic()
        with opened(server, "", kind) as connection:
            assert answer(connection) == "HTTP/1.1 401 Unauthorized"
        assert time.monotonic() - began < 5


def test_a_sender_that_goes_away_leaves_no_file(server: int, key: str, tmp_path) -> None:
    for kind in KINDS:
        connection = opened(server, key, kind)
        connection.sendall(b"title,body\n")
        connection.close()
    end = time.monotonic() + 20
    while left := list((tmp_path / "data" / "uploads").glob("*")):
        assert time.monotonic() < end, left
        time.sleep(0.1)


@pytest.mark.parametrize("patience", [{}])
def test_many_slow_senders_hold_up_nobody_else(server: int, key: str) -> None:
    """Half of them send bodies that do not come, half do not even end their headers."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{server}", headers=headers) as client:
        calm = median(client)
        with ExitStack() as held:
            for number in range(MANY):
                held.enter_context(opened(server, key, KINDS[number % len(KINDS)]))
                half = held.enter_context(socket.create_connection(("127.0.0.1", server), timeout=30))
                half.sendall(b"GET /tokens/balance HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            beside = median(client)
        after = median(client)
    assert beside < 5 * max(calm, after), (calm, beside, after)


def median(client: httpx2.Client) -> float:
    """Seconds that a good call takes."""
    taken = []
    for _ in range(60):
        began = time.perf_counter()
        assert client.get("/tokens/balance").status_code == 200
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
