"""A flood of wrong keys: refused without PostgreSQL, and a good key hardly notices."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import httpx2
import psycopg
import pytest

from backend.auth import keys, store
from backend.core.settings import get_settings

FLOODERS = 4
SECONDS = 3.0
# One process per flooder, as fast as one connection can: wrong in four ways, the last one real but revoked.
FLOODER = textwrap.dedent(
    """
    import http.client, sys, time
    port, seconds, useless = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    end, count, others = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        key = useless[count % len(useless)]
        connection.request("GET", "/tokens/balance", headers={"Authorization": "Bearer " + key})
        answer = connection.getresponse()
        answer.read()
        count += 1
        others += answer.status != 401
    print(count, others)
    """
)


@pytest.fixture
def server(database) -> Iterator[int]:
    """The API in a process of its own, on real sockets; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, env=os.environ | {"LOG_LEVEL": "ERROR"}, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/health/live")
                break
            except httpx2.TransportError:
                assert process.poll() is None, "the API did not start"
                assert time.monotonic() < end, "the API did not start in time"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def statements(database: str) -> int:
    """Transactions and statements that reached this database through the API, however short."""
    name = database.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(database.replace(name, "postgres"), autocommit=True) as connection:
        time.sleep(1.1)  # sessions report at most once a second
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        return connection.execute(query, (name,)).fetchone()[0]


def flood(port: int, wrong: list[str], meanwhile: Callable[[], None]) -> tuple[int, int]:
    """Requests sent, and answers that were not 401."""
    command = [sys.executable, "-c", FLOODER, str(port), str(SECONDS), *wrong]
    flooders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(FLOODERS)]
    meanwhile()
    ended = [one.communicate(timeout=60)[0].split() for one in flooders]
    return sum(int(count) for count, _ in ended), sum(int(others) for _, others in ended)


def test_wrong_keys_are_refused_without_postgresql_and_a_good_key_hardly_notices(server, database, owner):
    good, revoked = store.create_key(owner, "good"), store.create_key(owner, "revoked")
    store.revoke(owner, revoked.id)
    wrong = ["nonsense", keys.make(b"another pepper"), good.key[:-1] + "!", revoked.key]

    with httpx2.Client(
        base_url=f"http://127.0.0.1:{server}", headers={"Authorization": f"Bearer {good.key}"}
    ) as client:
        body = {"card_ids": ["x"]}
        path = client.post("/bulk/delete", json=body).json()["check_status_url"]

        def median(seconds: float) -> float:
            taken = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                started = time.perf_counter()
                assert client.get(path).status_code == 200
                taken.append(time.perf_counter() - started)
                time.sleep(0.005)
            return statistics.median(taken)

        calm = median(1.0)
        under_flood: list[float] = []

        def measure() -> None:
            time.sleep(0.5)
            under_flood.append(median(SECONDS - 1.0))

        sent, others = flood(server, wrong, measure)
    assert others == 0
    assert sent > 200
    # Five times is the promise on a quiet machine; the floor forgives a busy one its scheduling.
    assert under_flood[0] < max(5 * calm, 0.025), (calm, under_flood[0], sent)

    before = statements(database)
    sent, others = flood(server, wrong, lambda: None)
    touched = statements(database) - before
    assert others == 0
    # The revoked key is asked about once in ten seconds; health checks and statistics are the rest.
    assert touched < 20 + sent / 100, (touched, sent)


def test_a_flood_from_one_address_locks_nobody_out(server, owner):
    get_settings.cache_clear()
    good = store.create_key(owner, "good")
    with httpx2.Client(base_url=f"http://127.0.0.1:{server}") as client:
        for number in range(150):
            answer = client.get("/tokens/balance", headers={"Authorization": f"Bearer wrong{number}"})
            assert answer.status_code == 401
        answer = client.get("/tokens/balance", headers={"Authorization": f"Bearer {good.key}"})
        assert answer.status_code == 200
