"""Workers are killed, stopped and restarted in the middle of imports: how soon it goes on, nothing lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from backend.core.process import wait_gone
from backend.tests.faults.chaos import SETTINGS
from backend.tests.faults.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Each part takes a fifth of a second longer, so that there is a middle to break."""
    slow = {**SETTINGS, "FAILPOINT": "run.before_commit:sleep=0.2"}
    with World(tmp_path_factory.mktemp("world"), workers=1, settings=slow) as made:
        yield made


def processed(world: World, task_id: str) -> int:
    done = "SELECT coalesce(sum(item_count), 0) FROM operation_parts WHERE state = 'DONE'"
    return int(world.query(f"{done} AND operation_id = %s", task_id)[0][0])


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
