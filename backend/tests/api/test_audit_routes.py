"""``/audit`` over HTTP: what stands in it after each action, and who may read it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from backend.auth import audit, lookup, store
from backend.auth.scopes import DEFAULT
from backend.db import redis_client
from backend.tests.support.service import InProcess, done, get, send

CARD = {"title": "very private", "body": "very private", "category": "c", "privacy_level": "PRIVATE"}


@pytest.fixture
def service(database) -> InProcess:
    lookup.forget()
    redis_client.forget()
    return InProcess(database)


def headers(user: str = "ada", *scopes: str, **more: Any) -> dict[str, str]:
    made = store.create_key(store.create_user(user), "own", scopes or DEFAULT, **more)
    return {"Authorization": f"Bearer {made.key}"}


def test_every_action_on_cards_leaves_one_line_with_who_when_from_where_and_what(service):
    mine = service.headers = headers()
    imported = done(service, send(service, "/bulk/import", {"cards": [CARD, CARD]}))["task_id"]
    results = get(service, f"/bulk/operations/{imported}/results").json()["results"]
    ids = [one["card_id"] for one in results]
    started = {
        "cards.export": send(service, "/bulk/export", {"format": "csv"}),
        "cards.delete": send(service, "/bulk/delete", {"card_ids": ids}),
    }
    done(service, started["cards.export"])
    done(service, started["cards.delete"])
    file = started["cards.export"].json()["task_id"]
    signed = get(service, f"/bulk/operations/{file}/download-url").json()["url"]
    started["cards.restore"] = send(service, "/bulk/restore", {"card_ids": ids})
    done(service, started["cards.restore"])
    targets = {action: answer.json()["task_id"] for action, answer in started.items()}
    assert get(service, "/cards/export", headers={"X-Request-Id": "streamed"}).status_code == 200
    assert send(service, f"/bulk/operations/{imported}/undo").status_code == 202
    waiting = send(service, "/bulk/export", {}).json()["task_id"]
    assert send(service, f"/bulk/operations/{waiting}/cancel").status_code == 200

    answer = service.http.get("/audit", headers=headers("root", "admin"))
    lines = answer.json()["entries"][::-1]
    told = [(line["action"], line.get("target")) for line in lines]
    assert told == [
        ("cards.export", targets["cards.export"]),
        ("cards.delete", targets["cards.delete"]),
        ("cards.share", file),
        ("cards.restore", targets["cards.restore"]),
        ("cards.export", None),
        ("operation.undo", imported),
        ("cards.export", waiting),
        ("operation.cancel", waiting),
    ]
    [[key_id]] = service.query("SELECT id FROM api_keys WHERE user_id = %s", store.find_user("ada"))
    for line in lines:
        assert line["user_id"] == str(store.find_user("ada"))
        assert line["api_key_id"] == str(key_id)
        assert line["client_ip"] == "testclient"
        assert line["request_id"]
        assert line["at"].endswith("Z")
    assert lines[1]["detail"] == {"ids": 2, "soft_delete": True}
    assert lines[4]["request_id"] == "streamed"
    assert "very private" not in answer.text
    assert signed.rpartition("=")[2] not in answer.text
    assert mine["Authorization"].split()[1] not in answer.text


def test_a_refused_request_leaves_no_line(service):
    service.headers = headers("ada", "cards:read")
    for path in ("/bulk/export", "/bulk/delete", "/bulk/restore", "/api/keys"):
        assert send(service, path, {"card_ids": ["x"]}).status_code == 403
    service.headers = headers("bob")
    assert send(service, "/bulk/export", {"format": "xml"}).status_code == 400
    assert get(service, "/cards/export", params={"format": "xml"}).status_code == 400
    assert send(service, f"/bulk/operations/{uuid.uuid4()}/undo").status_code == 404
    assert service.query("SELECT count(*) FROM audit_log") == [(0,)]


def test_every_action_that_the_log_knows_is_one_that_a_test_here_has_done():
    """A new action is tried here first."""
    assert set(audit.ACTIONS) == {
        "key.create", "key.rotate", "key.revoke", "cards.delete", "cards.restore", "cards.export",
        "cards.share", "operation.undo", "operation.cancel",
    }  # fmt: skip


def test_what_is_done_with_keys_stands_in_the_audit_log(service):
    mine = headers()
    made = service.http.post("/api/keys", json={"name": "secret name"}, headers=mine).json()
    new = service.http.post(f"/api/keys/{made['id']}/rotate", headers=mine).json()
    service.http.delete(f"/api/keys/{new['id']}", headers=mine | {"X-Request-Id": "r-7"})
    answer = service.http.get("/audit", headers=headers("root", "admin"))
    assert answer.status_code == 200
    lines = answer.json()["entries"]
    assert [(line["action"], line["target"]) for line in lines] == [
        ("key.revoke", new["id"]), ("key.rotate", made["id"]), ("key.create", made["id"])
    ]  # fmt: skip
    assert lines[0]["request_id"] == "r-7"
    assert lines[0]["client_ip"] == "testclient"
    assert lines[0]["user_id"] == str(store.find_user("ada"))
    assert made["key"] not in answer.text
    assert "secret name" not in answer.text


def test_the_audit_log_is_for_admins(service):
    answer = service.http.get("/audit", headers=headers())
    assert answer.status_code == 403
    assert "admin" in answer.json()["detail"]


def test_the_audit_log_is_paged_and_filtered(service):
    mine, root = headers(), headers("root", "admin")
    for number in range(3):
        service.http.post("/api/keys", json={"name": f"k{number}"}, headers=mine)
    first = service.http.get("/audit?page_size=2", headers=root).json()
    rest = service.http.get("/audit", params={"page_token": first["next_page_token"]}, headers=root).json()
    assert (len(first["entries"]), len(rest["entries"])) == (2, 1)
    ada = str(store.find_user("ada"))
    for filters, count in (
        ({"user_id": ada}, 3), ({"user_id": str(uuid.uuid4())}, 0), ({"action": "key.create"}, 3),
        ({"action": "key.revoke"}, 0), ({"since": "2099-01-01T00:00:00Z"}, 0),
    ):  # fmt: skip
        assert len(service.http.get("/audit", params=filters, headers=root).json()["entries"]) == count
    for filters in (
        {"user_id": "x"},
        {"action": "x"},
        {"since": "x"},
        {"since": "2099-01-01"},
        {"page_token": "x"},
    ):
        assert service.http.get("/audit", params=filters, headers=root).status_code == 400
