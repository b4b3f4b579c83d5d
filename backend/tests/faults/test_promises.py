"""What is promised of a stack that is broken: how soon it goes on, and what its callers see meanwhile."""

from __future__ import annotations

import os
import signal
import time

import pytest

from backend.core.process import wait_gone
from backend.tests.faults.load import FINAL, Client, cards_body
from backend.tests.faults.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults]
SMALL = cards_body(100)[0]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def processed(world: World, task_id: str) -> int:
    done = "SELECT coalesce(sum(item_count), 0) FROM operation_parts WHERE state = 'DONE'"
    return int(world.query(f"{done} AND operation_id = %s", task_id)[0][0])


def operations_of_its_owner(world: World, task_id: str) -> int:
    owner = "SELECT user_id FROM operations WHERE id = %s"
    return int(world.query(f"SELECT count(*) FROM operations WHERE user_id = ({owner})", task_id)[0][0])


def wait_under_way(world: World, task_id: str, items: int) -> int:
    """Wait until some of it is done, and not all; how much."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done = processed(world, task_id)
        if done:
            assert done < items, "it was over before it could be broken"
            return done
        time.sleep(0.003)
    raise AssertionError("nothing happens")


def test_after_sigkill_of_the_only_worker_the_operation_moves_within_ten_seconds(world, client):
    imports = [client.import_cards(10_000) for _ in range(4)]
    last = imports[-1]
    wait_under_way(world, imports[0].task_id, 10_000)
    (parent,) = world.pids("worker")
    children = world.pids("child")
    world.kill(parent)
    assert wait_gone([parent, *children], 2) == []
    killed = time.monotonic()
    before = sum(processed(world, one.task_id) for one in imports)
    assert before < 40_000
    while sum(processed(world, one.task_id) for one in imports) == before:
        assert time.monotonic() - killed < 10, world.stack.log()
        time.sleep(0.01)
    print(f"moving again after {time.monotonic() - killed:.2f} s")
    client.wait(last, 60)
    client.wait_all(60)
    for one in imports:
        assert one.answer["status"] == "SUCCESS", one
        assert one.answer["result"]["cards_imported"] == 10_000
    assert world.query(
        "SELECT count(*), count(DISTINCT id) FROM cards WHERE user_id = "
        "(SELECT user_id FROM operations WHERE id = %s)",
        last.task_id,
    ) == [(40_000, 40_000)]


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
        began = time.monotonic()
        assert world.health()["status"] == "degraded"
        assert time.monotonic() - began < 1.2
    finally:
        world.start_postgres()
    client.wait_all(60)
    assert {one.answer["status"] for one in made} == {"SUCCESS"}
    assert operations_of_its_owner(world, made[0].task_id) == 3


def test_a_worker_that_stands_still_loses_its_part_and_the_import_ends_without_it(world, client):
    sent = [client.import_cards(10_000) for _ in range(3)]
    wait_under_way(world, sent[0].task_id, 10_000)
    children = world.pids("child")
    # All but one: whichever of them are in the middle of a part hold its lock.
    standing = children[:-1]
    for pid in standing:
        os.kill(pid, signal.SIGSTOP)
    try:
        client.wait_all(90)
    finally:
        for pid in standing:
            os.kill(pid, signal.SIGCONT)
    assert [one.answer["status"] for one in sent] == ["SUCCESS"] * 3
    assert world.violations() == []
    time.sleep(1)  # those that go on find their sessions gone
    assert world.violations() == []


def test_a_rolling_restart_of_the_workers_loses_nothing_and_repeats_nothing(world, client):
    sent = [client.import_cards(10_000) for _ in range(2)]
    for _ in range(2):
        (parent,) = world.pids("worker")
        sent += [client.import_cards(10_000) for _ in range(2)]
        began = time.monotonic()
        os.kill(parent, signal.SIGTERM)
        assert wait_gone([parent], 32) == []
        print(f"the worker ended {time.monotonic() - began:.2f} s after SIGTERM")
        world.stack.wait_restarted("worker", parent, 40)
    client.wait_all(90)
    assert [one.answer["status"] for one in sent] == ["SUCCESS"] * len(sent)
    assert {one.answer["result"]["cards_imported"] for one in sent} == {10_000}


def test_sigterm_gives_back_what_has_not_begun_and_ends_what_has(world, client):
    """Between SIGTERM and the next start no part is in the middle, and none is started twice."""
    sent = [client.import_cards(10_000) for _ in range(4)]
    wait_under_way(world, sent[0].task_id, 10_000)
    began = time.monotonic()
    assert world.stack.stop(40) == 0
    assert time.monotonic() - began < 32
    assert world.violations() == []
    assert world.query(
        "SELECT count(*) FROM operation_part_attempts a JOIN operation_parts p USING (operation_id, part_no) "
        "WHERE p.state = 'PENDING'"
    ) == [(0,)]
    world.start_stack()
    client.move(world.url)
    client.wait_all(60)
    assert [one.answer["status"] for one in sent] == ["SUCCESS"] * 4


def test_the_api_dies_in_the_middle_of_requests_and_each_is_accepted_once(world, client):
    for _ in range(6):
        (api,) = world.pids("api")
        world.kill(api)
        client.import_cards(500)
    client.wait_all(60)
    assert operations_of_its_owner(world, client.accepted[0].task_id) == 6


def test_the_small_import_of_one_owner_does_not_wait_for_the_large_ones_of_another(world, client, request):
    large = Client(world.url, world.key_of("an owner with very much"))

    def once() -> float:
        began = time.monotonic()
        answer = client.once("/bulk/import?wait=30", SMALL)
        url = f"/bulk/status/{answer.json()['task_id']}?wait=30"
        final = client.get(url).json()
        assert final["status"] in FINAL, final
        return time.monotonic() - began

    once()
    alone = [once() for _ in range(9)]
    for _ in range(100 if request.config.getoption("--long") else 25):
        large.import_cards(10_000)
    beside = [once() for _ in range(9)]
    still = [large.status(one)["status"] for one in large.accepted].count("PENDING")
    assert still, "the large ones were over too soon for this to say anything"
    large.wait_all(300)
    large.close()
    middle, slowest = percentile(alone, 0.5), max(beside)
    print(f"alone {middle:.3f} s, beside {percentile(beside, 0.5):.3f} s, at most {slowest:.3f} s")
    assert slowest <= 2
    assert percentile(beside, 0.5) <= 3 * middle
