"""A process is killed at each step of submitting and running, for each kind of operation; then the books."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from backend.core.failpoints import NAMES
from backend.core.ids import new_id
from backend.core.settings import get_settings
from backend.db import session
from backend.operations import recovery, retention
from backend.operations.attempts import Worker
from backend.operations.runner import Runner
from backend.tests.faults import books
from backend.tests.support.service import InProcess, get, send

pytestmark = pytest.mark.faults
KINDS = ("import", "export", "delete", "restore")
CARDS = 12
PUBLISHED = 4
# Points that only one kind passes.
ONLY_FOR = {"export.before_artifact": "export", "export.after_artifact": "export"}


@pytest.fixture
def service(database, monkeypatch):
    """The API on a fresh database, with parts so small that every operation has several."""
    monkeypatch.setenv("PART_MIN_ITEMS", "5")
    monkeypatch.setenv("RETRY_BACKOFF_SECONDS", "0")
    get_settings.cache_clear()
    return InProcess(database)


def cards() -> list[dict[str, Any]]:
    levels = ["BUSINESS", "PRIVATE", "THOUGHTS"] * (CARDS // 3)
    return [
        {"title": f"Card {index}", "body": "body", "category": "NOTES", "privacy_level": level}
        for index, level in enumerate(levels)
    ]


def prepare(service: InProcess, kind: str) -> tuple[str, dict[str, Any]]:
    """Path and body of a request of this kind that ends in SUCCESS."""
    if kind == "import":
        return "/bulk/import", {"cards": cards()}
    made = send(service, "/bulk/import", {"cards": cards()}).json()["task_id"]
    service.finished(made)
    if kind == "export":
        return "/bulk/export", {"format": "json"}
    lines = get(service, f"/bulk/operations/{made}/results").json()["results"]
    ids = [line["card_id"] for line in lines]
    if kind == "restore":
        service.finished(send(service, "/bulk/delete", {"card_ids": ids}).json()["task_id"])
    return f"/bulk/{kind}", {"card_ids": ids}


def in_a_process_of_its_own(work: Callable[[], None], failpoint: str) -> int:
    """Run ``work`` in a fork with the failpoint on; how it ended (negative: the signal)."""
    session.dispose()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ["FAILPOINT"] = f"{failpoint}:kill"
            get_settings.cache_clear()
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def work_for(point: str, service: InProcess, post: Callable[[], Any]) -> Callable[[], None]:
    """What the process does that is killed at ``point``."""

    def submit() -> None:
        post()

    def run() -> None:
        post()
        Runner(Worker("worker1@here", new_id())).run()

    def task() -> None:
        from backend.tasks.bulk_operations import run_operation

        run_operation(post().json()["task_id"])

    def sweep() -> None:
        from backend.tasks import maintenance

        post()
        maintenance.sweep()

    def cancel() -> None:
        send(service, f"/bulk/operations/{post().json()['task_id']}/cancel")

    def purge() -> None:
        run()
        os.environ["ITEM_ERROR_RETENTION_SECONDS"] = "0"
        get_settings.cache_clear()
        retention.purge()

    return {
        "submit": submit, "run": run, "finish": run, "export": run, "task": task, "sweep": sweep,
        "cancel": cancel, "purge": purge,
    }[point.partition(".")[0]]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", NAMES)
def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(service, database, point, kind):
    path, body = prepare(service, kind)
    (before,) = service.query("SELECT count(*) FROM operations")[0]

    def post() -> Any:
        answer = send(service, path, body, headers={"Idempotency-Key": "the one"})
        assert answer.status_code == 202, answer.text
        return answer

    ended = in_a_process_of_its_own(work_for(point, service, post), point)
    if ONLY_FOR.get(point, kind) != kind:
        assert ended == 0
    else:
        assert ended == -signal.SIGKILL
    assert books.violations(database) == []
    session.dispose()

    again = post()
    assert ("idempotency-replayed" in again.headers) == (point != "submit.before_commit")
    recovery.sweep()
    status = service.finished(again.json()["task_id"])

    assert status["status"] == "SUCCESS", status
    result = status["result"]
    done = {"import": "imported", "export": "exported", "delete": "deleted", "restore": "restored"}[kind]
    assert result[f"cards_{done}"] == CARDS
    assert result.get("cards_failed", 0) == 0
    assert books.violations(database) == []
    assert service.query("SELECT count(*) FROM operations") == [(before + 1,)]
    living = 0 if kind == "delete" else CARDS
    shown = service.query(
        "SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE is_published), "
        "count(*) FROM cards"
    )
    assert shown == [(living, PUBLISHED if living else 0, CARDS)]
    assert service.query("SELECT count(*), sum(amount) FROM extropy_ledger") == [(PUBLISHED, PUBLISHED)]
    if kind == "export":
        assert len(get(service, result["download_url"]).json()) == CARDS


def test_every_failpoint_is_somewhere_in_the_code():
    """A name that nobody passes would make the matrix above say less than it seems to."""
    import backend

    root = os.path.dirname(backend.__file__)
    source = ""
    for folder, _, files in os.walk(root):
        if "tests" not in folder:
            for name in files:
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        source += file.read()
    missing = [name for name in NAMES if f'hit("{name}")' not in source]
    assert missing == []
