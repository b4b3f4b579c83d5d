"""A flood of wrong keys: refused without PostgreSQL, and a good key hardly notices."""

from __future__ import annotations

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
from backend.tests.support.live import live_api

FLOODERS = 4
SECONDS = 10.0
STARTING_SECONDS = 1.0  # of the flooders' interpreters
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
    with live_api() as port:
        yield port


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
        path = client.post("/bulk/delete", json={"card_ids": ["x"]}).json()["check_status_url"]

        def seconds_of_status_calls(during: float) -> list[float]:
            taken = []
            end = time.monotonic() + during
            while time.monotonic() < end:
                started = time.perf_counter()
                assert client.get(path).status_code == 200
                taken.append(time.perf_counter() - started)
                time.sleep(0.01)
            return taken

        # Calm before and after: on a busy machine the neighbours slow all three down.
        calm = seconds_of_status_calls(2.0)
        under_flood: list[float] = []
        sent, others = flood(
            server, wrong, lambda: under_flood.extend(seconds_of_status_calls(SECONDS + STARTING_SECONDS))
        )
        after = seconds_of_status_calls(2.0)
    slowed = statistics.median(under_flood) / max(statistics.median(calm), statistics.median(after))
    print(
        f"{sent} wrong keys in {SECONDS:.0f} s; a status call took {slowed:.2f} times what it takes in calm"
    )
    assert others == 0
    assert sent >= FLOODERS * SECONDS * 5
    assert len(under_flood) > 50
    assert slowed < 5, (calm, after, under_flood, sent)


def test_a_flood_of_wrong_keys_does_not_reach_postgresql(server, database, owner):
    good, revoked = store.create_key(owner, "good"), store.create_key(owner, "revoked")
    store.revoke(owner, revoked.id)
    wrong = ["nonsense", keys.make(b"another pepper"), good.key[:-1] + "!", revoked.key]
    before = statements(database)
    idle_began = time.monotonic()
    sent, others = flood(server, wrong, lambda: None)
    touched = statements(database) - before
    print(f"{touched} transactions for {sent} wrong keys")
    assert others == 0
    # The revoked key is asked about once in ten seconds; the rest is the service's own, some a second.
    assert touched <= 20 + 2 * (time.monotonic() - idle_began)
    assert sent >= 5 * touched


def test_a_flood_from_one_address_locks_nobody_out(server, owner):
    get_settings.cache_clear()
    good = store.create_key(owner, "good")
    with httpx2.Client(base_url=f"http://127.0.0.1:{server}") as client:
        for number in range(150):
            answer = client.get("/tokens/balance", headers={"Authorization": f"Bearer wrong{number}"})
            assert answer.status_code == 401
        answer = client.get("/tokens/balance", headers={"Authorization": f"Bearer {good.key}"})
        assert answer.status_code == 200
