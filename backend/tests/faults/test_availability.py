"""What callers see while a server or the API is down, and how soon all is done after."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from celery import Celery

from backend.embedded.services import children_per_worker
from backend.tests.faults.load import FINAL, Client, cards_body
from backend.tests.faults.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults]
SMALL = cards_body(100)[0]
CHILDREN = children_per_worker(1)  # of the one worker of these tests


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def operations_of_its_owner(world: World, task_id: str) -> int:
    owner = "SELECT user_id FROM operations WHERE id = %s"
    return int(world.query(f"SELECT count(*) FROM operations WHERE user_id = ({owner})", task_id)[0][0])


def test_without_redis_everything_is_accepted_at_once_and_done_soon_after_it_is_back(world, client, request):
    seconds = 60 if request.config.getoption("--long") else 10
    client.import_cards(100)
    world.stop_redis()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = client.once("/bulk/import", SMALL)
            assert answer.status_code == 202, answer.text
            client.accepted_task(answer, 100)
            time.sleep(0.05)
    finally:
        world.start_redis()
    back = time.monotonic()
    client.wait_all(60)
    p99 = percentile(client.latencies, 0.99)
    late = time.monotonic() - back
    print(f"{len(client.latencies)} sent, p99 {p99 * 1000:.0f} ms; final {late:.1f} s after it was back")
    assert p99 < 0.3
    assert {one.answer["status"] for one in client.accepted} == {"SUCCESS"}


def test_a_redis_that_swallows_everything_holds_no_request_up(world, client):
    world.redis_proxy.swallow()
    try:
        for _ in range(40):
            answer = client.once("/bulk/import", SMALL)
            assert answer.status_code == 202, answer.text
            client.accepted_task(answer, 100)
            time.sleep(0.05)
    finally:
        world.redis_proxy.mend()
    p99 = percentile(client.latencies, 0.99)
    print(f"p99 {p99 * 1000:.0f} ms")
    assert p99 < 1
    client.wait_all(90)


def test_flushall_loses_nothing(world, client):
    for _ in range(10):
        client.import_cards(1_000)
        with world.redis_client() as redis:
            redis.flushall()
    client.wait_all(60)
    assert {one.answer["status"] for one in client.accepted} == {"SUCCESS"}


def test_cut_off_from_redis_again_and_again_workers_find_back(world, client):
    """A worker that has only one connection back, or none that listens, does nothing for ever."""
    for _ in range(12):
        world.redis_proxy.cut()
        sent = client.import_cards(100)
        client.wait(sent, 30)
    (parent,) = world.pids("worker")
    for _ in range(3):
        world.redis_proxy.cut()
        world.wait_healthy()
    assert world.pids("worker") == [parent]
    control = Celery(broker=world.redis_url)
    end = time.monotonic() + 20
    while not control.control.ping(timeout=1):  # and hears what operators tell it
        assert time.monotonic() < end, "remote control is deaf"
    control.close()


def test_without_postgresql_callers_get_503_in_three_seconds_and_what_ran_goes_on_after(world, client):
    made = [client.import_cards(10_000) for _ in range(3)]
    world.stop_postgres()
    try:
        for _ in range(6):
            began = time.monotonic()
            answer = client.once("/bulk/import", SMALL)
            assert answer.status_code == 503, answer.text
            assert time.monotonic() - began < 3
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            began = time.monotonic()
            assert client.status(made[0]) is None
            assert time.monotonic() - began < 3
        time.sleep(0.6)  # what was found in the last half second is answered again
        began = time.monotonic()
        assert world.health()["status"] == "degraded"
        assert time.monotonic() - began < 1.2
    finally:
        world.start_postgres()
    client.wait_all(60)
    assert {one.answer["status"] for one in made} == {"SUCCESS"}
    assert operations_of_its_owner(world, made[0].task_id) == 3


def test_the_api_dies_in_the_middle_of_requests_and_each_is_accepted_once(world, client):
    for _ in range(6):
        (api,) = world.pids("api")
        world.kill(api)
        client.import_cards(500)
    client.wait_all(60)
    assert operations_of_its_owner(world, client.accepted[0].task_id) == 6


def many_requests(large: Client, long: bool) -> None:
    for _ in range(100 if long else 25):
        large.import_cards(10_000)


def one_file(large: Client, long: bool) -> None:
    large.import_file(1_000_000 if long else 150_000)


def overtaken(world: World, small: str, accepted: datetime, large: Client) -> int:
    """How many parts of the large operations began after the small one was accepted and before it did."""
    began = "finished_at - duration_ms * interval '1 ms'"
    query = f"""
        SELECT count(*) FROM operation_parts, (SELECT min({began}) AS at FROM operation_parts
                                               WHERE operation_id = %s) AS small
        WHERE operation_id = ANY (%s::uuid[]) AND state = 'DONE' AND {began} > %s AND {began} < small.at
        """
    return int(world.query(query, small, [one.task_id for one in large.accepted], accepted)[0][0])


@pytest.mark.parametrize("much", [many_requests, one_file])
def test_the_small_import_of_one_owner_does_not_wait_for_the_large_ones_of_another(
    world, client, request, much
):
    """Told by what ran before it, whatever else the machine does; by the clock too where it is ours alone."""
    large = Client(world.url, world.key_of(f"an owner with very much, {much.__name__}"))
    sent: list[tuple[str, datetime]] = []

    def once() -> float:
        began = time.monotonic()
        task = client.once("/bulk/import", SMALL).json()["task_id"]
        sent.append((task, datetime.now(UTC)))
        final = client.get(f"/bulk/status/{task}?wait=30").json()
        assert final["status"] == "SUCCESS", final
        return time.monotonic() - began

    once()
    alone = [once() for _ in range(9)]
    much(large, request.config.getoption("--long"))
    sent.clear()
    beside = [once() for _ in range(9)]
    over = [large.status(one)["status"] in FINAL for one in large.accepted]
    large.wait_all(600)
    assert {one.answer["status"] for one in large.accepted} == {"SUCCESS"}
    before = [overtaken(world, *one, large) for one in sent]
    large.close()
    middle, slowest = percentile(alone, 0.5), max(beside)
    print(f"alone {middle:.3f} s, beside {percentile(beside, 0.5):.3f} s, at most {slowest:.3f} s; {before}")
    assert not all(over), "the large ones were over too soon for this to say anything"
    # A worker child that was just choosing begins one more; the next it chooses is the small one.
    assert max(before) <= CHILDREN
    if request.config.getoption("--long"):
        assert slowest <= 2
        assert percentile(beside, 0.5) <= 3 * middle
