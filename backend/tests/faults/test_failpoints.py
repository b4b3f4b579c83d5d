"""A process is killed at each step of submitting and running, for each kind of operation; then the books."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from backend.core.errors import Unavailable
from backend.core.failpoints import NAMES, hit
from backend.core.settings import get_settings
from backend.db import session
from backend.operations import recovery, runner
from backend.tests.faults.victim import Request, killed_at
from backend.tests.support import books
from backend.tests.support.service import InProcess, get, send

CARDS = 12
PART = 5
PUBLISHED = 4
# What POST makes which kind of operation: the engine knows four.
KINDS = {
    "import": "import", "export": "export", "delete": "delete", "restore": "restore",
    "retry": "import", "undo import": "delete", "undo delete": "restore",
}  # fmt: skip
DONE = {"import": "imported", "export": "exported", "delete": "deleted", "restore": "restored"}
# Killed on both sides of an acknowledgement is a worker's parent: see test_deliveries.
IN_A_PARENT = {"acknowledge.before", "acknowledge.after"}
# Only exports write files.
FILE = {"export.before_artifact", "artifact.before_digest", "export.after_artifact"}
# These make operations of the kinds above: once accepted they are run by the same code.
DERIVED = {"retry", "undo import", "undo delete"}
ACCEPTING_AND_RUNNING = ("submit", "publish", "run", "finish", "cancel")
CANCELLED = {"cancel.after_commit", "interrupted.before_commit", "interrupted.after_commit"}
GIVEN_UP = {"give_up.after_commit"}
MATRIX = [
    pytest.param(point, kind, id=f"{point} of {kind}")
    for point in NAMES
    for kind in KINDS
    if point not in IN_A_PARENT
    and (point not in FILE or kind == "export")
    and (kind not in DERIVED or point.startswith(ACCEPTING_AND_RUNNING))
]


@pytest.fixture
def service(database, monkeypatch):
    """The API on a fresh database, with parts so small that every operation has several."""
    monkeypatch.setenv("PART_MIN_ITEMS", str(PART))
    monkeypatch.setenv("RETRY_BACKOFF_SECONDS", "0")
    get_settings.cache_clear()
    return InProcess(database)


def cards() -> list[dict[str, Any]]:
    levels = ["BUSINESS", "PRIVATE", "THOUGHTS"] * (CARDS // 3)
    return [
        {"title": f"Card {index}", "body": "body", "category": "NOTES", "privacy_level": level}
        for index, level in enumerate(levels)
    ]


def prepare(service: InProcess, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """Path and body of a request of this kind that ends in SUCCESS."""
    if kind == "import":
        return "/bulk/import", {"cards": cards()}
    if kind == "retry":
        with monkeypatch.context() as patch:
            patch.setitem(runner._DO, "import", lambda _: 1 / 0)
            failed = send(service, "/bulk/import", {"cards": cards()}).json()["task_id"]
            assert service.finished(failed)["result"]["cards_failed"] == CARDS
        return f"/bulk/operations/{failed}/retry", None
    made = send(service, "/bulk/import", {"cards": cards()}).json()["task_id"]
    service.finished(made)
    if kind == "export":
        return "/bulk/export", {"format": "json"}
    if kind == "undo import":
        return f"/bulk/operations/{made}/undo", None
    lines = get(service, f"/bulk/operations/{made}/results").json()["results"]
    ids = [line["card_id"] for line in lines]
    if kind in ("restore", "undo delete"):
        deleted = send(service, "/bulk/delete", {"card_ids": ids}).json()["task_id"]
        service.finished(deleted)
        if kind == "undo delete":
            return f"/bulk/operations/{deleted}/undo", None
    return f"/bulk/{kind}", {"card_ids": ids}


@pytest.mark.faults
@pytest.mark.parametrize(("point", "kind"), MATRIX)
def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(service, database, monkeypatch, point, kind):
    path, body = prepare(service, kind, monkeypatch)
    (before,) = service.query("SELECT count(*) FROM operations")[0]
    headers = {**service.headers, "Idempotency-Key": "the one"}

    def post() -> Any:
        answer = send(service, path, body, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer

    kept = {"ITEM_ERROR_RETENTION_SECONDS": "0"} if point.startswith("purge") else {}
    kept |= {"ARTIFACT_RETENTION_SECONDS": "0"} if point == "purge.after_artifacts" else {}
    ended = killed_at(point, Request(path, body, headers, KINDS[kind]), kept)
    assert ended == -signal.SIGKILL
    assert books.violations(database) == []

    again = post()
    assert ("idempotency-replayed" in again.headers) == (point != "submit.before_commit")
    recovery.sweep()
    task = again.json()["task_id"]
    status = service.finished(task)
    assert books.violations(database) == []
    assert service.query("SELECT count(*) FROM operations") == [(before + 1,)]

    if point in CANCELLED:
        assert (status["status"], status["error"]) == ("FAILURE", "Cancelled")
        assert_cancelled_left_nothing_behind(service, kind)
        return
    if point in GIVEN_UP:
        assert status["status"] == "FAILURE", status
        assert "RuntimeError" in status["error"]
        task = send(service, f"/bulk/operations/{task}/retry").json()["task_id"]
        status = service.finished(task)
        assert status["result"][f"cards_{DONE[KINDS[kind]]}"] == (CARDS if kind == "export" else PART)
    else:
        assert status["result"][f"cards_{DONE[KINDS[kind]]}"] == CARDS
    assert status["status"] == "SUCCESS", status
    assert status["result"].get("cards_failed", 0) == 0
    assert_all_is_there(service, database, kind)
    if kind == "export" and point != "purge.after_artifacts":
        assert len(get(service, status["result"]["download_url"]).json()) == CARDS


def assert_all_is_there(service: InProcess, database: str, kind: str) -> None:
    """Each card once, published where it should be, awarded once."""
    assert books.violations(database) == []
    living = 0 if KINDS[kind] == "delete" else CARDS
    shown = service.query(
        "SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE is_published), "
        "count(*) FROM cards"
    )
    assert shown == [(living, PUBLISHED if living else 0, CARDS)]
    assert service.query("SELECT count(*), sum(amount) FROM extropy_ledger") == [(PUBLISHED, PUBLISHED)]


def assert_cancelled_left_nothing_behind(service: InProcess, kind: str) -> None:
    """Cancelled before a part of it ended: as if it had never been."""
    living, deleted = service.query(
        "SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE deleted_at IS NOT NULL) "
        "FROM cards"
    )[0]
    gone_before = KINDS[kind] == "restore"
    there = 0 if KINDS[kind] == "import" else CARDS
    assert (living, deleted) == ((0, there) if gone_before else (there, 0))


def test_every_failpoint_is_somewhere_in_the_code_and_every_one_in_the_code_has_a_name():
    """A name that nobody passes would make the matrix above say less than it seems to."""
    import backend

    root = Path(backend.__file__).parent
    source = "".join(
        file.read_text() for file in root.rglob("*.py") if "tests" not in file.relative_to(root).parts
    )
    assert [name for name in NAMES if f'hit("{name}"' not in source] == []
    assert source.count("hit(") - source.count("def hit(") >= len(NAMES)


def test_a_failpoint_may_be_one_things_only(monkeypatch):
    monkeypatch.setenv("FAILPOINT", "run.after_attempt@import/2:raise")
    get_settings.cache_clear()
    hit("run.after_attempt", "import/1")
    hit("run.after_claim", "import/2")
    with pytest.raises(Unavailable):
        hit("run.after_attempt", "import/2")


def test_a_failpoint_in_a_file_is_on_while_the_file_is_there_and_acts_once(monkeypatch, tmp_path):
    armed = tmp_path / "failpoint"
    monkeypatch.setenv("FAILPOINT", f"@{armed}")
    get_settings.cache_clear()
    hit("run.after_work")
    armed.write_text("run.after_work:raise")
    hit("run.after_claim")
    with pytest.raises(Unavailable):
        hit("run.after_work")
    assert not os.path.exists(armed)
    hit("run.after_work")


@pytest.fixture(autouse=True)
def _forget_settings():
    yield
    session.dispose()
    get_settings.cache_clear()
