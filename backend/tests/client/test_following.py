"""Following an operation, lists in pages, streamed errors."""

from __future__ import annotations

import json
import time

import pytest

from backend.client.errors import ClientError, UnexpectedAnswer, WaitTimeout
from backend.client.models import Progress
from backend.client.shell import Target
from backend.client.sync import Client
from backend.tests.client.conftest import QUICK
from backend.tests.client.server import accepted, cuts, refuses, says


def status(state: str, current: int | None = None, **more: object) -> dict[str, object]:
    progress = (
        {} if current is None else {"progress": {"current": current, "total": 10, "percent": current * 10}}
    )
    return {"task_id": "t-1", "status": state} | progress | more


DONE = status("SUCCESS", result={"cards_imported": 10}, completed_at="2026-01-01T00:00:00Z")


def test_a_status_is_read_whole(call, server):
    server.then(says(status("STARTED", 5)))
    found = call("status", "t-1")
    assert (found.id, found.state, found.progress, found.is_final) == (
        "t-1",
        "STARTED",
        Progress(5, 10, 50),
        False,
    )
    assert server.seen[0].path == "/bulk/status/t-1"


def test_waiting_asks_the_server_to_wait_and_returns_the_final_status(call, server):
    server.then(says(status("STARTED", 5)), cuts, says(DONE))
    final = call("wait", "t-1")
    assert (final.is_success, final.result) == (True, {"cards_imported": 10})
    assert all(one.query == {"wait": ["25"]} for one in server.seen)


def test_a_failed_operation_is_returned_with_its_error(call, server):
    server.then(says(status("FAILURE", error="Cancelled")))
    final = call("wait", "t-1")
    assert (final.is_final, final.is_success, final.error) == (True, False, "Cancelled")


def test_waiting_ends_when_its_time_is_over(call, server):
    server.then(says(status("STARTED", 5)))
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        call("wait", "t-1", timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 1.5
    assert caught.value.task_id == "t-1"


def test_a_server_that_does_not_wait_is_not_flooded(call, server):
    server.then(says(status("STARTED", 5)))
    with pytest.raises(WaitTimeout):
        call("wait", "t-1", timeout=1.2)
    assert len(server.seen) <= 5


def test_progress_gives_each_change_once_and_the_end_last(call, server):
    same = says(status("STARTED", 5))
    server.then(says(status("PENDING")), same, same, refuses(503, "unavailable", "x"), same, says(DONE))
    seen = call("progress", "t-1", interval=0.01)
    assert [one.state for one in seen] == ["PENDING", "STARTED", "SUCCESS"]


def test_ids_are_quoted_into_the_path(call, server):
    server.then(refuses(404, "not_found", "No such operation"))
    with pytest.raises(ClientError):
        call("status", "../x?y")
    assert server.seen[0].path == "/bulk/status/..%2Fx%3Fy"


def test_a_list_is_fetched_page_by_page(call, server):
    one = {"task_id": "a", "kind": "import", "state": "SUCCESS"}
    two = {"task_id": "b", "kind": "export", "state": "CANCELLED"}
    server.then(says({"operations": [one], "next_page_token": "p2"}), cuts, says({"operations": [two]}))
    found = call("operations", kind="import", page_size=1)
    assert [(each.id, each.state) for each in found] == [("a", "SUCCESS"), ("b", "CANCELLED")]
    assert server.seen[0].query == {"kind": ["import"], "page_size": ["1"]}
    assert server.seen[-1].query == {"kind": ["import"], "page_size": ["1"], "page_token": ["p2"]}


def test_results_and_ledger_are_lists_too(call, server):
    server.then(says({"results": [{"index": 0, "outcome": "created", "card_id": "c"}]}))
    assert [(one.index, one.outcome, one.card_id) for one in call("results", "t-1")] == [(0, "created", "c")]
    server.steps[:] = [says({"entries": [{"amount": "1.00000000", "reason": "card_published"}]})]
    assert [one.amount for one in call("ledger")] == ["1.00000000"]


LINES = [
    {"index": n, "row": n + 2, "field": "title", "code": "too_long", "message": "m", "card": {"n": n}}
    for n in range(50)
]


def test_errors_are_streamed(call, server):
    body = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)
    server.then(lambda handler: handler.answer(200, {"Content-Type": "application/x-ndjson"}, body))
    found = call("errors", "t-1")
    assert [one.raw for one in found] == LINES
    assert (found[3].index, found[3].row, found[3].field, found[3].card) == (3, 5, "title", {"n": 3})
    assert (server.seen[0].path, server.seen[0].query) == (
        "/bulk/operations/t-1/errors",
        {"format": ["ndjson"]},
    )


def test_a_cut_in_the_errors_loses_and_doubles_none(call, server):
    body = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)
    kind = {"Content-Type": "application/x-ndjson"}
    server.then(
        lambda handler: handler.answer(200, kind, body, sent=len(body) // 3),
        lambda handler: handler.answer(200, kind, body, sent=len(body) // 2),
        lambda handler: handler.answer(200, kind, body[:-1]),
    )
    assert [one.index for one in call("errors", "t-1")] == list(range(50))


@pytest.mark.parametrize("what", ["retry", "undo"])
def test_a_followup_is_a_new_operation(call, server, what):
    server.then(accepted("t-2"))
    assert call(what, "t-1").id == "t-2"
    assert (server.seen[0].method, server.seen[0].path) == ("POST", f"/bulk/operations/t-1/{what}")
    assert server.seen[0].headers["idempotency-key"]


def test_an_export_names_only_what_was_asked(call, server):
    server.then(accepted())
    call("export", format="csv", privacy_levels=["IDEAS"], since="w1")
    assert json.loads(server.seen[0].body) == {"format": "csv", "privacy_levels": ["IDEAS"], "since": "w1"}


def test_one_id_is_not_taken_for_a_list_of_characters(call, server):
    server.then(accepted())
    with pytest.raises(TypeError):
        call("delete", "0198c0de-0000-7000-8000-000000000000")
    assert server.seen == []


def test_a_new_key_shows_its_secret_to_the_caller_only(call, server):
    server.then(says({"id": "k", "key": "extro_live_secret", "prefix": "extro_live_se", "name": "n"}, 201))
    made = call("create_key", "n", scopes=["bulk:import"])
    assert made.key == "extro_live_secret"
    assert "extro_live_secret" not in repr(made)
    assert json.loads(server.seen[0].body) == {"name": "n", "scopes": ["bulk:import"]}


def test_an_answer_without_its_fields_is_said_to_be_wrong(call, server):
    server.then(says({"state": "x"}))
    with pytest.raises(UnexpectedAnswer):
        call("status", "t-1")


def test_the_key_is_not_in_any_repr(server):
    with Client(server.url, "extro_live_hidden") as client:
        assert "hidden" not in repr(client) + repr(vars(client)["_target"])


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://u:p@h", "http://h/?q=1"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        Client(url, "k")


@pytest.mark.parametrize("key", ["", "a b", "a\nX-Evil: 1", "é"])
def test_a_key_that_no_header_carries_is_refused(key):
    with pytest.raises(ValueError, match="API key"):
        Client("http://localhost", key)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.9", True),
        ("http://[::1]:8", True),
        ("https://extrophi.ai", False),
    ],
)
def test_proxies_of_the_environment_are_for_other_machines(url, local):
    target = Target(url, "k", QUICK, 1)
    assert target.client_options()["trust_env"] is not local
