"""The contract's table of errors, row by row."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import pytest

from backend.auth import store as auth
from backend.core.settings import get_settings
from backend.tests.support.service import InProcess, get, send

CARD = {"title": "t", "body": "b", "category": "c", "privacy_level": "PRIVATE"}
NOT_JSON = "Request body is not valid JSON"
JSON = "application/json"


def is_problem(answer: Any, status: int, detail: str = "", code: str = "") -> dict[str, Any]:
    """Check that an answer is a problem document of that status; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"].startswith(detail)
    assert code in ("", body["code"])
    return body


@pytest.mark.parametrize("route", ["/bulk/import", "/bulk/export", "/bulk/delete", "/bulk/restore"])
def test_every_bad_key_gets_the_same_401(service: InProcess, route: str) -> None:
    user = auth.create_user("somebody")
    revoked = auth.create_key(user, "old")
    auth.revoke(user, revoked.id)
    bodies = set()
    for value in (None, "", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {revoked.key}", revoked.key):
        headers = {"Authorization": value} if value is not None else {}
        answer = service.http.post(route, content=b"{}", headers=headers)
        body = is_problem(answer, 401, "Invalid or missing API key", "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        bodies.add(json.dumps({**body, "request_id": ""}, sort_keys=True))
    assert len(bodies) == 1


def test_a_missing_scope_is_named(service: InProcess) -> None:
    key = auth.create_key(auth.create_user("reader"), "reads", scopes=["cards:read"])
    answer = service.http.post("/bulk/import", json={}, headers={"Authorization": f"Bearer {key.key}"})
    assert "bulk:import" in is_problem(answer, 403, code="missing_scope")["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nope", b'{"cards": [NaN]}', b'{"cards": [1e999]}', b'{"cards": [], "cards": []}',
     b"\xef\xbb\xbf{}", b'{"cards": ["\xff"]}', b'{"cards": ' + b"[" * 100 + b"]" * 100 + b"}", b"{} {}",
     b'{"cards": [{"a": 1, "a": 2}]}', b"{'cards': []}", b'{"cards": [01]}'],
)  # fmt: skip
def test_what_is_not_json_is_refused_with_line_and_column(service: InProcess, body: bytes) -> None:
    headers = {**service.headers, "Content-Type": JSON}
    answer = service.http.post("/bulk/import", content=body, headers=headers)
    detail = is_problem(answer, 400, NOT_JSON, "malformed_body")["detail"]
    assert " at line " in detail
    assert " column " in detail


def test_the_input_is_never_echoed(service: InProcess) -> None:
    secret = "my-very-private-text"
    for body in ({"cards": [CARD], "publish_business": secret}, {"cards": secret}, {secret[:5]: secret}):
        assert secret not in send(service, "/bulk/import", body).text


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        ("/bulk/import", [], {""}),
        ("/bulk/import", {"cards": [CARD], "on_duplicate": "explode"}, {"/on_duplicate"}),
        ("/bulk/import", {"cards": [CARD], "dry_run": "true", "x/y~z": 1}, {"/dry_run", "/x~1y~0z"}),
        ("/bulk/export", {"published_only": "yes"}, {"/published_only"}),
        ("/bulk/delete", {"card_ids": {"a": 1}}, {"/card_ids"}),
        ("/bulk/delete", {"card_ids": [str(uuid.uuid4())], "hard": True}, {"/hard"}),
    ],
)
def test_wrong_types_and_unknown_fields_are_pointed_at(
    service: InProcess, path: str, body: Any, pointers: set[str]
) -> None:
    found = is_problem(send(service, path, body), 422, code="validation_failed")
    assert {error["pointer"] for error in found["errors"]} == pointers


@pytest.mark.parametrize("method", ["cancel", "retry", "undo"])
def test_unknown_ids_are_404(service: InProcess, method: str) -> None:
    for task in (uuid.uuid4(), "nonsense"):
        path = f"/bulk/operations/{task}/{method}"
        is_problem(send(service, path), 404, "Operation not found", "not_found")


def test_unknown_paths_and_methods_are_problems_too(service: InProcess) -> None:
    is_problem(service.http.get("/nowhere"), 404)
    is_problem(service.http.delete("/bulk/import"), 405)


def test_an_unknown_media_type_is_415_naming_those_accepted(service: InProcess) -> None:
    for media_type in ("application/xml", "image/png"):
        headers = {**service.headers, "Content-Type": media_type}
        answer = service.http.post("/bulk/import", content=b"<x/>", headers=headers)
        assert "text/csv" in is_problem(answer, 415)["detail"]
    answer = service.http.post(
        "/bulk/delete", content=b"x", headers={**service.headers, "Content-Type": "text/csv"}
    )
    is_problem(answer, 415)


def test_an_unknown_encoding_is_415_naming_those_accepted(service: InProcess) -> None:
    headers = {**service.headers, "Content-Type": JSON, "Content-Encoding": "br"}
    answer = service.http.post("/bulk/import", content=b"{}", headers=headers)
    assert "gzip, zstd" in is_problem(answer, 415)["detail"]


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_JSON_BODY_BYTES", "1000")
    get_settings.cache_clear()


@pytest.mark.usefixtures("small_limit")
def test_too_large_a_body_is_413_declared_chunked_or_decoded(service: InProcess) -> None:
    body = json.dumps({"cards": [{**CARD, "body": "x" * 2000}]}).encode()
    headers = {**service.headers, "Content-Type": JSON}
    is_problem(service.http.post("/bulk/import", content=body, headers=headers), 413)
    chunks = (body[at : at + 100] for at in range(0, len(body), 100))
    is_problem(service.http.post("/bulk/import", content=chunks, headers=headers), 413)
    packed = gzip.compress(body)
    assert len(packed) < 1000
    coded = {**headers, "Content-Encoding": "gzip"}
    is_problem(service.http.post("/bulk/import", content=packed, headers=coded), 413)


def test_a_decompression_bomb_is_413(service: InProcess) -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    headers = {**service.headers, "Content-Type": JSON, "Content-Encoding": "gzip"}
    is_problem(service.http.post("/bulk/import", content=bomb, headers=headers), 413)


def test_damaged_compression_is_400(service: InProcess) -> None:
    packed = gzip.compress(json.dumps({"cards": [CARD]}).encode())
    headers = {**service.headers, "Content-Type": JSON, "Content-Encoding": "gzip"}
    for body in (packed[:-4], b"not gzip at all", packed[:12] + b"\0\0\0" + packed[15:]):
        is_problem(service.http.post("/bulk/import", content=body, headers=headers), 400)


def test_the_same_key_gets_the_same_answer_and_another_body_422(service: InProcess) -> None:
    headers = {"Idempotency-Key": "key-1"}
    first = send(service, "/bulk/import", {"cards": [CARD]}, headers=headers)
    again = send(service, "/bulk/import", {"cards": [CARD]}, headers={"Idempotency-Key": '"key-1"'})
    assert again.json() == first.json()
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    other = send(service, "/bulk/import", {"cards": [CARD, CARD]}, headers=headers)
    is_problem(other, 422, code="idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9".encode("latin-1"), "a\tb"])
def test_an_impossible_idempotency_key_is_400(service: InProcess, key: Any) -> None:
    answer = send(service, "/bulk/import", {"cards": [CARD]}, headers={"Idempotency-Key": key})
    is_problem(answer, 400)


def test_over_the_rate_is_429_with_its_fields(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMIT_OPERATIONS_PER_MINUTE", "2")
    get_settings.cache_clear()
    answers = [send(service, "/bulk/import", {"cards": [CARD]}) for _ in range(4)]
    assert answers[0].status_code == 202
    refused = answers[-1]
    is_problem(refused, 429, code="rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert "ratelimit" in refused.headers
    assert "ratelimit-policy" in refused.headers


def test_over_the_quota_of_cards_is_429(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUOTA_CARDS_PER_HOUR", "3")
    get_settings.cache_clear()
    assert send(service, "/bulk/import", {"cards": [CARD] * 3}).status_code == 202
    is_problem(send(service, "/bulk/import", {"cards": [CARD]}), 429)


def test_a_database_that_is_down_is_503(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.db import session

    assert get(service, "/tokens/balance").status_code == 200
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost:1/nothing")
    get_settings.cache_clear()
    session.dispose()
    answer = send(service, "/bulk/import", {"cards": [CARD]})
    is_problem(answer, 503, code="unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("token", ["x", "e30", "W10", "WzFd", "=" * 600, "\u00fc"])
def test_a_page_token_that_is_not_ours_is_400(service: InProcess, token: str) -> None:
    for path in ("/bulk/operations", "/tokens/ledger"):
        is_problem(get(service, path, params={"page_token": token}), 400)
