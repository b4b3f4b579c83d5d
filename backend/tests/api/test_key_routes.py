"""``/api/keys`` over HTTP."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.auth import lookup, store
from backend.auth.scopes import DEFAULT, SCOPES
from backend.core.settings import get_settings
from backend.db import redis_client
from backend.tests.support.service import InProcess


@pytest.fixture
def service(database) -> InProcess:
    lookup.forget()
    redis_client.forget()
    return InProcess(database)


def bearer(key: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **more}


def headers(user: str = "ada", *scopes: str, **more: Any) -> dict[str, str]:
    return bearer(store.create_key(store.create_user(user), "own", scopes or DEFAULT, **more).key)


def test_a_key_is_made_shown_once_and_works(service):
    mine = headers()
    answer = service.http.post("/api/keys", json={"name": "laptop"}, headers=mine)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert set(made) == {
        "id",
        "key",
        "name",
        "prefix",
        "last_four",
        "scopes",
        "limits",
        "state",
        "created_at",
    }
    assert made["key"].startswith(made["prefix"])
    assert made["key"].endswith(made["last_four"])
    assert set(made["scopes"]) == DEFAULT
    assert service.http.get("/tokens/balance", headers=bearer(made["key"])).status_code == 200
    listed = service.http.get("/api/keys", headers=mine)
    assert made["key"] not in listed.text
    line = listed.json()["keys"][0]
    assert line.pop("last_used_at")
    assert line == {name: value for name, value in made.items() if name != "key"}


def test_a_key_can_be_made_to_do_less_and_to_end(service):
    ends = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    body = {"name": "k", "scopes": ["cards:read"], "expires_at": ends.isoformat()}
    made = service.http.post("/api/keys", json=body, headers=headers()).json()
    assert made["scopes"] == ["cards:read"]
    assert datetime.fromisoformat(made["expires_at"]) == ends


def test_no_key_gives_more_than_it_has(service):
    weak = headers("ada", "keys:manage", "cards:read", limits={"requests_per_minute": 50})
    for scope in sorted(set(SCOPES) - {"keys:manage", "cards:read"}):
        answer = service.http.post(
            "/api/keys", json={"name": "k", "scopes": ["cards:read", scope]}, headers=weak
        )
        assert answer.status_code == 403
        assert scope in answer.json()["detail"]
    made = service.http.post("/api/keys", json={"name": "k"}, headers=weak).json()
    assert set(made["scopes"]) == {"keys:manage", "cards:read"}
    assert made["limits"] == {"requests_per_minute": 50}


def test_admin_is_given_only_when_it_is_asked_for(service):
    root = headers("root", *SCOPES)
    assert "admin" not in service.http.post("/api/keys", json={"name": "k"}, headers=root).json()["scopes"]
    asked = service.http.post("/api/keys", json={"name": "k", "scopes": ["admin"]}, headers=root)
    assert asked.json()["scopes"] == ["admin"]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, "/name"),
        ({"name": ""}, 422, "/name"),
        ({"name": "x" * 201}, 422, "/name"),
        ({"name": 5}, 422, "/name"),
        ({"name": "k", "scopes": []}, 422, "/scopes"),
        ({"name": "k", "scopes": ["root"]}, 422, "/scopes/0"),
        ({"name": "k", "scopes": "admin"}, 422, "/scopes"),
        ({"name": "k", "expires_at": "tomorrow"}, 422, "/expires_at"),
        ({"name": "k", "expires_at": "2001-01-01T00:00:00Z"}, 422, "/expires_at"),
        ({"name": "k", "expires_at": "2099-01-01T00:00:00"}, 422, "/expires_at"),
        ({"name": "k", "expires_at": 4102444800}, 422, "/expires_at"),
        ({"name": "k", "limits": {}}, 422, "/limits"),
        ({"name": "k", "user_id": str(uuid.uuid4())}, 422, "/user_id"),
        ({"name": "a\x1b[31mb"}, 400, None),
    ],
)
def test_what_cannot_be_is_refused_with_a_pointer(service, body, status, pointer):
    answer = service.http.post("/api/keys", json=body, headers=headers())
    assert answer.status_code == status, answer.text
    assert [one["pointer"] for one in answer.json().get("errors", [])] == ([pointer] if pointer else [])


def test_one_key_too_many_is_a_conflict(service, monkeypatch):
    monkeypatch.setenv("MAX_KEYS_PER_OWNER", "2")
    get_settings.cache_clear()
    mine = headers()
    assert service.http.post("/api/keys", json={"name": "k"}, headers=mine).status_code == 201
    assert service.http.post("/api/keys", json={"name": "k"}, headers=mine).status_code == 409


def test_a_repeated_request_makes_one_key_and_shows_it_again(service):
    mine = headers() | {"Idempotency-Key": "once"}
    first = service.http.post("/api/keys", json={"name": "k"}, headers=mine)
    again = service.http.post("/api/keys", json={"name": "k"}, headers=mine)
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = service.http.post("/api/keys", json={"name": "other"}, headers=mine)
    assert other.status_code == 422
    assert service.query("SELECT count(*) FROM api_keys WHERE name = 'k'") == [(1,)]
    kept = json.dumps(service.query("SELECT response FROM idempotency_keys"))
    assert first.json()["key"][15:-6] not in kept


def test_keys_are_listed_page_by_page(service):
    mine = headers()
    made = [
        service.http.post("/api/keys", json={"name": f"k{n}"}, headers=mine).json()["id"] for n in range(4)
    ]
    first = service.http.get("/api/keys?page_size=3", headers=mine).json()
    rest = service.http.get("/api/keys", params={"page_token": first["next_page_token"]}, headers=mine).json()
    assert [key["id"] for key in first["keys"]] == made[:0:-1]
    assert rest["keys"][0]["id"] == made[0]
    assert "next_page_token" not in rest
    for token in ("x", "!!", "WyJ4Il0", "e30"):
        assert service.http.get(f"/api/keys?page_token={token}", headers=mine).status_code == 400


def test_a_revoked_key_is_refused_and_stays_in_the_list(service):
    mine = headers()
    made = service.http.post("/api/keys", json={"name": "k"}, headers=mine).json()
    assert service.http.get("/tokens/balance", headers=bearer(made["key"])).status_code == 200
    for _ in range(2):
        assert service.http.delete(f"/api/keys/{made['id']}", headers=mine).status_code == 204
        assert service.http.get("/tokens/balance", headers=bearer(made["key"])).status_code == 401
    listed = service.http.get("/api/keys", headers=mine).json()["keys"]
    assert {key["id"]: key["state"] for key in listed}[made["id"]] == "revoked"


@pytest.mark.parametrize("body", [None, {}, {"overlap_seconds": 60}])
def test_rotation_gives_a_new_key_beside_the_old_one(service, body):
    mine = headers()
    old = service.http.post("/api/keys", json={"name": "k", "scopes": ["cards:read"]}, headers=mine).json()
    options = {} if body is None else {"json": body}
    answer = service.http.post(f"/api/keys/{old['id']}/rotate", headers=mine, **options)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["name"], new["scopes"]) == ("k", ["cards:read"])
    for key in (old["key"], new["key"]):
        assert service.http.get("/tokens/balance", headers=bearer(key)).status_code == 200
    listed = {key["id"]: key for key in service.http.get("/api/keys", headers=mine).json()["keys"]}
    assert listed[old["id"]]["rotated_to"] == new["id"]
    assert service.http.post(f"/api/keys/{old['id']}/rotate", headers=mine).status_code == 409


def test_rotation_without_overlap_ends_the_old_key_at_once(service):
    mine = headers()
    old = service.http.post("/api/keys", json={"name": "k"}, headers=mine).json()
    assert service.http.get("/tokens/balance", headers=bearer(old["key"])).status_code == 200
    path = f"/api/keys/{old['id']}/rotate"
    sent = {"json": {"overlap_seconds": 0}, "headers": mine | {"Idempotency-Key": "r"}}
    new = service.http.post(path, **sent).json()
    assert service.http.get("/tokens/balance", headers=bearer(old["key"])).status_code == 401
    assert service.http.get("/tokens/balance", headers=bearer(new["key"])).status_code == 200
    assert service.http.post(path, **sent).json() == new


@pytest.mark.parametrize(
    "body", [{"overlap_seconds": -1}, {"overlap_seconds": 10**9}, {"overlap": 1}, {"overlap_seconds": "1"}]
)
def test_a_rotation_that_cannot_be_is_refused(service, body):
    mine = headers()
    old = service.http.post("/api/keys", json={"name": "k"}, headers=mine).json()
    assert service.http.post(f"/api/keys/{old['id']}/rotate", json=body, headers=mine).status_code == 422


def test_a_weaker_key_cannot_rotate_a_stronger_one(service):
    strong = store.create_key(store.create_user("ada"), "strong")
    weak = headers("ada", "keys:manage")
    answer = service.http.post(f"/api/keys/{strong.id}/rotate", headers=weak)
    assert answer.status_code == 403
