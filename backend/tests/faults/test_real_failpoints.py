"""On the real stack: killed at chosen steps, messages delivered again and again, a part that kills its
worker, one request sent fifty times at once.

A failpoint is put on by writing a file; whoever acts takes it away.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx2
import orjson
import pytest
from celery import Celery

from backend.core.failpoints import NAMES
from backend.queue.celery_app import RUN
from backend.tests.faults.chaos import SETTINGS
from backend.tests.faults.load import FINAL, Client, Sent, cards_body
from backend.tests.faults.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults]
CARDS = 1_000
# Steps on both sides of what only the real stack has: messages, acknowledgements, the clock, a supervisor.
SHORT = (
    "submit.after_commit", "publish.after", "run.after_attempt", "run.before_commit", "finish.before_commit",
    "task.before_acknowledge", "acknowledge.before", "acknowledge.after", "sweep.before_publish",
)  # fmt: skip
# Nobody passes these in a plain run: see test_failpoints.
NOT_PASSED = ("put_off", "excuse", "give_up", "interrupted", "cancel", "purge", "export", "artifact")
LONG = tuple(name for name in NAMES if not name.startswith(NOT_PASSED))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    settings = {**SETTINGS, "FAILPOINT": f"@{folder / 'failpoint'}", "SWEEP_SECONDS": "1"}
    with World(folder, workers=1, settings=settings) as made:
        yield made


@pytest.fixture
def armed(world: World) -> Iterator[Path]:
    """The file that puts a failpoint on; off again after the test."""
    file = world.folder / "failpoint"
    yield file
    file.unlink(missing_ok=True)


def arm(file: Path, what: str) -> None:
    """Put a failpoint on, whole at once."""
    new = file.with_suffix(".new")
    new.write_text(what)
    new.rename(file)


def four_kinds(client: Client, made: Sent) -> dict[str, Callable[[], Sent]]:
    """What starts an operation of each kind; cards 100 to 199 of ``made`` are deleted."""
    return {
        "import": lambda: client.import_cards(CARDS),
        "export": client.export,
        "delete": lambda: client.delete(made, 0, 100),
        "restore": lambda: client.restore(made, 100, 100),
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The short points; all of them with ``--long``. test_failpoints has each, in a process of its own."""
    if "point" in metafunc.fixturenames:
        metafunc.parametrize("point", LONG if metafunc.config.getoption("--long") else SHORT)


def test_killed_there_every_kind_of_operation_ends_as_if_nothing_had_been(
    world, client, armed, request, point
):
    long = request.config.getoption("--long")
    if long or point.startswith("acknowledge"):
        made = client.import_cards(CARDS)
        client.wait(made, 60)
        client.wait(client.delete(made, 100, 100), 60)
        todo = four_kinds(client, made)
    else:
        todo = {"import": lambda: client.import_cards(CARDS)}
    for kind, start in todo.items():
        arm(armed, f"{point}:kill")
        sent = start()
        client.wait(sent, 60)
        end = time.monotonic() + 20
        while armed.exists():  # acknowledged, swept and published is behind the operation's end too
            assert time.monotonic() < end, f"nobody passed {point} for {kind}"
            time.sleep(0.02)
        world.wait_healthy()
        assert sent.answer["status"] == "SUCCESS", (kind, sent)
        if kind == "import":
            assert sent.answer["result"]["cards_imported"] == CARDS
        assert world.violations() == []


def test_each_message_delivered_one_to_five_times_in_any_order_doubles_nothing(world, client):
    seed = Random().randrange(1_000_000)
    print(f"seed {seed}")
    random = Random(seed)
    queue = Celery(broker=world.redis_url)
    for _ in range(20):
        made = client.import_cards(CARDS)
        if random.random() < 0.5:
            client.export()
        ids = [one.task_id for one in client.accepted]
        again = [task for task in ids[-6:] for _ in range(random.randint(1, 5))]
        random.shuffle(again)
        for task in again:
            queue.send_task(RUN, args=[task], ignore_result=True)
    queue.close()
    client.wait_all(90)
    imports = [one for one in client.accepted if one.kind == "import"]
    assert [one.answer["status"] for one in client.accepted] == ["SUCCESS"] * len(client.accepted)
    assert world.query(
        "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE is_published) FROM cards "
        "WHERE user_id = (SELECT user_id FROM operations WHERE id = %s)",
        made.task_id,
    ) == [(20 * CARDS, 20 * CARDS, sum(one.published for one in imports))]


def test_a_part_that_kills_its_worker_is_started_four_times_and_its_neighbours_go_in(world, client, armed):
    arm(armed, "run.after_work@import/3:kill")
    sent = client.import_cards(CARDS)
    killed, end = 0, time.monotonic() + 90
    while (status := client.status(sent)) is None or status["status"] not in FINAL:
        assert time.monotonic() < end, (killed, sent)
        if not armed.exists():
            killed += 1
            arm(armed, "run.after_work@import/3:kill")
        time.sleep(0.01)
    assert armed.exists(), "it was started once more than counted"
    assert killed == 4
    assert sent.answer["status"] == "FAILURE"
    assert sent.answer["error"] == (
        "Part 3 (cards 750-999) failed: it ended its worker at each of 4 attempts"
    )
    result = sent.answer["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (750, 250)
    armed.unlink()
    again = client.post(f"/bulk/operations/{sent.task_id}/retry", b"")
    retried = client.get(f"/bulk/status/{again['task_id']}?wait=30").json()
    assert (retried["status"], retried["result"]["cards_imported"]) == ("SUCCESS", 250)


def test_one_request_sent_fifty_times_at_once_is_one_operation_with_fifty_equal_answers(world, client):
    body, _ = cards_body(10_000)
    headers = {
        "Authorization": f"Bearer {client.key}",
        "Content-Type": "application/json",
        "Idempotency-Key": uuid.uuid4().hex,
    }

    def send(_: int) -> httpx2.Response:
        return httpx2.post(
            f"{world.url}/bulk/import", content=body, headers=headers, timeout=60, trust_env=False
        )

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({orjson.dumps(answer.json(), option=orjson.OPT_SORT_KEYS) for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    sent = client.accepted_task(answers[0], 10_000)
    assert client.wait(sent, 60)["result"]["cards_imported"] == 10_000
    owner = "(SELECT user_id FROM operations WHERE id = %s)"
    assert world.query(f"SELECT count(*) FROM operations WHERE user_id = {owner}", sent.task_id) == [(1,)]
