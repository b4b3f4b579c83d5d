"""Who gets in, with which answer, and that nobody reads a body before knowing whose it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from backend.api.app import create_app
from backend.auth import keys, lookup, store
from backend.auth.scopes import DEFAULT
from backend.core.settings import get_settings
from backend.db import redis_client
from backend.limits import wrong_keys
from backend.operations import report
from backend.tests.support.service import InProcess


@pytest.fixture
def service(database) -> InProcess:
    lookup.forget()
    redis_client.forget()
    wrong_keys._seen.clear()
    return InProcess(database)


def headers(*scopes: str, **more: Any) -> dict[str, str]:
    owner = store.create_user("caller")
    made = store.create_key(owner, "k", scopes or DEFAULT, **more)
    return {"Authorization": f"Bearer {made.key}"}


def wrong_headers(owner: Any) -> dict[str, dict[str, str]]:
    """Every way in which a key can be wrong."""
    revoked, expired = store.create_key(owner, "r"), store.create_key(owner, "e")
    store.revoke(owner, revoked.id)
    from sqlalchemy import text

    from backend.db.session import unit_of_work

    with unit_of_work() as connection:
        past = text("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = :id")
        connection.execute(past, {"id": expired.id})
    good = store.create_key(owner, "g").key
    return {
        "none": {},
        "empty": {"Authorization": ""},
        "no scheme": {"Authorization": good},
        "another scheme": {"Authorization": f"Basic {good}"},
        "no key": {"Authorization": "Bearer "},
        "malformed": {"Authorization": "Bearer something"},
        "not ASCII": {"Authorization": "Bearer extro_live_\xe9" + "a" * 37},
        "very long": {"Authorization": "Bearer " + "a" * 5000},
        "forged": {"Authorization": f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}"},
        "of another installation": {"Authorization": f"Bearer {keys.make(b'another pepper')}"},
        "unknown": {"Authorization": f"Bearer {keys.make(store.pepper())}"},
        "revoked": {"Authorization": f"Bearer {revoked.key}"},
        "expired": {"Authorization": f"Bearer {expired.key}"},
    }


def test_nothing_is_looked_up_for_a_key_without_the_scope(service, monkeypatch):
    """A status is read where the key is: after it."""
    asked = []
    monkeypatch.setattr(report, "read", lambda *of: asked.append(of))
    path = "/bulk/status/01a0b0f4-0000-7000-8000-000000ffffff"
    assert service.http.get(path, headers=headers("bulk:import")).status_code == 403
    assert service.http.get(path, headers={}).status_code == 401
    assert not asked
    assert service.http.get(path, headers=headers("cards:read")).status_code == 404
    assert service.http.get(path + "?wait=99", headers=headers("cards:read")).status_code == 422
    assert service.http.get("/bulk/status/none", headers=headers("cards:read")).status_code == 404
    assert len(asked) == 2


def test_every_wrong_key_gets_the_same_401(service, owner):
    bodies = set()
    for name, fields in wrong_headers(owner).items():
        for _ in range(2):  # the second time from memory
            raw = [(key.encode(), value.encode("latin-1")) for key, value in fields.items()]
            answer = service.http.get("/bulk/operations", headers=raw)
            assert answer.status_code == 401, name
            assert answer.headers["www-authenticate"] == "Bearer", name
            body = answer.json()
            assert body.pop("request_id")
            assert body["detail"] == "Invalid or missing API key"
            bodies.add(json.dumps(body))
    assert len(bodies) == 1


def test_the_scheme_is_read_without_regard_to_case(service):
    key = headers()["Authorization"].removeprefix("Bearer ")
    assert service.http.get("/tokens/balance", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_a_missing_scope_is_named(service):
    answer = service.http.get("/api/keys", headers=headers("cards:read"))
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This API key lacks the scope keys:manage"
    assert answer.json()["code"] == "missing_scope"


LIMITED = {"requests_per_minute": 1}


@pytest.mark.parametrize(
    ("fields", "status"),
    [(dict, 401), (lambda: headers("cards:read"), 403), (lambda: headers(limits=LIMITED), 429)],
)
@pytest.mark.parametrize(
    "path", ["/bulk/import", "/bulk/delete", "/bulk/export", "/api/keys", "/bulk/import/preview"]
)
def test_a_refused_request_is_answered_before_its_body_is_read(database, path, fields, status):
    """The body never comes: whoever waited for it would hang."""
    lookup.forget()
    app = create_app()
    given = fields()
    if status == 429:
        assert exchange(app, "GET", "/tokens/balance", given) == 200
    assert exchange(app, "POST", path, given) == status


def exchange(app: Any, method: str, path: str, fields: dict[str, str]) -> int:
    """The status of a request whose body is announced and never sent."""
    statuses: list[int] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
        + [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("203.0.113.9", 1), "server": ("test", 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))
    return statuses[0]


def test_answers_say_where_the_rates_stand(service):
    answer = service.http.get("/tokens/balance", headers=headers(limits={"requests_per_minute": 30}))
    assert answer.headers["ratelimit-policy"] == '"requests";q=30;w=60'
    assert answer.headers["ratelimit"] == '"requests";r=29;t=2'


def test_a_refused_scope_says_so_too(service):
    answer = service.http.get("/api/keys", headers=headers("cards:read", limits={"requests_per_minute": 30}))
    assert answer.headers["ratelimit"] == '"requests";r=29;t=2'


def test_over_the_rate_is_429_with_everything_that_a_client_needs(service):
    mine = headers(limits={"requests_per_minute": 2})
    for _ in range(2):
        assert service.http.get("/tokens/balance", headers=mine).status_code == 200
    answer = service.http.get("/tokens/balance", headers=mine)
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Too many requests: at most 2 per minute"
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert service.http.get("/tokens/balance", headers=headers()).status_code == 200


def test_operations_have_a_rate_of_their_own(service):
    mine = headers(limits={"operations_per_minute": 1})
    body = {"card_ids": ["x"]}
    assert service.http.post("/bulk/delete", json=body, headers=mine).status_code == 202
    answer = service.http.post("/bulk/delete", json=body, headers=mine)
    assert answer.status_code == 429
    assert answer.json()["detail"] == "Too many operations: at most 1 per minute"
    assert service.http.get("/tokens/balance", headers=mine).status_code == 200


def test_without_redis_requests_go_on(service, monkeypatch):
    mine = headers(limits={"requests_per_minute": 1})
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    for _ in range(3):
        answer = service.http.get("/tokens/balance", headers=mine)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


def test_a_revoked_key_is_refused_by_the_next_request(service):
    owner = store.create_user("caller")
    made = store.create_key(owner, "k")
    mine = {"Authorization": f"Bearer {made.key}"}
    assert service.http.get("/tokens/balance", headers=mine).status_code == 200
    assert service.http.delete(f"/api/keys/{made.id}", headers=mine).status_code == 204
    assert service.http.get("/tokens/balance", headers=mine).status_code == 401


def test_wrong_keys_are_counted_and_reported_once_a_minute_per_address(caplog, clock):
    before = wrong_keys.REFUSED.labels("malformed")._value.get()
    for _ in range(50):
        wrong_keys.note("203.0.113.5", "malformed")
    assert wrong_keys.REFUSED.labels("malformed")._value.get() - before == 50
    assert caplog.records == []
    clock[0] += 61
    wrong_keys.note("203.0.113.5", "malformed")
    assert [record.getMessage() for record in caplog.records] == [
        "50 requests with a wrong API key from 203.0.113.5 within a minute"
    ]


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(wrong_keys.time, "monotonic", lambda: now[0])
    wrong_keys._seen.clear()
    yield now
    wrong_keys._seen.clear()


def test_a_flood_is_answered_after_a_pause_and_a_few_mistakes_are_not(clock):
    pauses = [wrong_keys.note("203.0.113.5", "malformed") for _ in range(wrong_keys.BURST + 10)]
    assert pauses == [0.0] * wrong_keys.BURST + [wrong_keys.PAUSE_SECONDS] * 10
    assert wrong_keys.note("203.0.113.6", "malformed") == 0
    clock[0] += 1
    assert [wrong_keys.note("203.0.113.5", "missing") for _ in range(21)][-2:] == [
        0,
        wrong_keys.PAUSE_SECONDS,
    ]


def test_one_customers_ipv6_addresses_count_as_one(clock):
    for number in range(wrong_keys.BURST):
        assert wrong_keys.note(f"2001:db8::{number:x}", "malformed") == 0
    assert wrong_keys.note("2001:db8::ffff%eth0", "malformed") > 0
    assert wrong_keys.note("2001:db8:0:1::1", "malformed") == 0


def test_memory_of_addresses_stays_bounded(clock):
    for number in range(wrong_keys.MOST_ADDRESSES + 5):
        wrong_keys.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "malformed")
    assert len(wrong_keys._seen) <= wrong_keys.MOST_ADDRESSES
