"""The whole table of errors: each row of it produced, and each documented code among the rows."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from backend.api import problems
from backend.api.routes import tokens
from backend.auth import keys, store
from backend.cards.watermark import Watermark
from backend.core.errors import InvalidRequest
from backend.core.settings import get_settings
from backend.db import session
from backend.operations import downloads
from backend.tests.docs.pages import page
from backend.tests.support.service import InProcess, done, get, send

CARD = {"title": "t", "body": "b", "category": "c", "privacy_level": "PRIVATE"}
JSON = {"Content-Type": "application/json"}


class Case(InProcess):
    """The service, and the ways to bring it into each state."""

    patch: pytest.MonkeyPatch

    def set(self, **values: object) -> None:
        for name, value in values.items():
            self.patch.setenv(name.upper(), str(value))
        get_settings.cache_clear()

    def raw(self, body: bytes, path: str = "/bulk/import", **headers: str) -> Any:
        return self.http.post(path, content=body, headers=self.headers | JSON | headers)

    def key(self, *scopes: str, **more: Any) -> dict[str, str]:
        made = store.create_key(store.create_user("other"), "k", scopes or ("cards:read",), **more)
        return {"Authorization": f"Bearer {made.key}"}

    def imported(self) -> str:
        return done(self, send(self, "/bulk/import", {"cards": [CARD]}))["task_id"]

    def exported(self) -> str:
        return done(self, send(self, "/bulk/export", {}))["task_id"]

    def file_of(self, task: str) -> Any:
        return get(self, f"/bulk/operations/{task}/download")

    def without_file(self) -> Any:
        task = send(self, "/bulk/export", {}).json()["task_id"]
        send(self, f"/bulk/operations/{task}/cancel")
        return self.file_of(task)

    def past_retention(self) -> Any:
        task = self.exported()
        self.set(artifact_retention_seconds=0)
        return self.file_of(task)

    def foreign_signature(self) -> Any:
        signature = downloads.signed_download_url(uuid.uuid4(), int(time.time()) + 60).partition("?")[2]
        return self.http.get(f"/bulk/operations/{self.exported()}/download?{signature}")

    def of_another_database(self) -> Any:
        return send(self, "/bulk/export", {"since": Watermark("0" * 16, "1:1:").token()})

    def down(self) -> Any:
        get(self, "/tokens/balance")
        self.set(database_url="postgresql://localhost:1/nothing")
        session.dispose()
        return send(self, "/bulk/import", {"cards": [CARD]})

    def broken(self) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        self.patch.setattr(tokens.ledger, "balance", fail)
        return get(self, "/tokens/balance")

    def again(self, path: str, *bodies: Any) -> Any:
        return [send(self, path, body, headers={"Idempotency-Key": "k"}) for body in bodies][-1]

    def over_the_rate(self) -> Any:
        self.set(rate_limit_operations_per_minute=1)
        return [send(self, "/bulk/delete", {"card_ids": ["x"]}) for _ in range(2)][-1]

    def over_the_queue(self) -> Any:
        self.set(max_waiting_operations=1)
        return [send(self, "/bulk/delete", {"card_ids": ["x"]}) for _ in range(2)][-1]

    def over_the_quota(self) -> Any:
        self.set(quota_cards_per_hour=1)
        return send(self, "/bulk/import", {"cards": [CARD, CARD]})

    def too_large(self, body: bytes, **headers: str) -> Any:
        self.set(max_json_body_bytes=1000)
        return self.raw(body, **headers)

    def stalled(self) -> Any:
        """The answer to a body that is announced and never comes."""
        self.set(body_idle_timeout_seconds=0.05)
        told: list[Any] = []
        sent = self.headers | JSON | {"Content-Length": "10"}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": "/bulk/import", "raw_path": b"/bulk/import", "root_path": "", "scheme": "http",
            "query_string": b"", "client": ("203.0.113.9", 1), "server": ("test", 80),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def answer(message: dict[str, Any]) -> None:
            told.append(message)

        asyncio.run(asyncio.wait_for(self.http.app(scope, receive, answer), 30))
        headers = {name.decode(): value.decode() for name, value in told[0]["headers"]}
        body = json.loads(told[1]["body"])
        return SimpleNamespace(status_code=told[0]["status"], headers=headers, json=lambda: body)


@dataclass(frozen=True)
class Row:
    """How a row is produced, and what is answered; ``fields`` are header fields that must be there."""

    ask: Callable[[Case], Any]
    status: int
    code: str
    detail: str = ""
    fields: tuple[str, ...] = ()
    pointers: frozenset[str] = field(default_factory=frozenset)


NOT_JSON = "Request body is not valid JSON"
WRONG_KEY = "Invalid or missing API key"
LIMIT = ("retry-after", "ratelimit", "ratelimit-policy")
BIG = json.dumps({"cards": [CARD | {"body": "x" * 2000}]}).encode()


def with_header(value: str) -> Callable[[Case], Any]:
    return lambda case: case.http.post("/bulk/import", json={}, headers={"Authorization": value})


def posting(path: str, body: Any) -> Callable[[Case], Any]:
    return lambda case: send(case, path, body)


def unauthenticated(ask: Callable[[Case], Any]) -> Row:
    return Row(ask, 401, "unauthenticated", WRONG_KEY, ("www-authenticate",))


def not_json(body: bytes) -> Row:
    return Row(lambda case: case.raw(body), 400, "malformed_body", NOT_JSON)


def too_large(body: bytes, **headers: str) -> Row:
    return Row(lambda case: case.too_large(body, **headers), 413, "payload_too_large")


def chunked(case: Case) -> Any:
    case.set(max_json_body_bytes=1000)
    return case.raw(BIG[at : at + 100] for at in range(0, len(BIG), 100))  # type: ignore[arg-type]


ROWS: dict[str, Row] = {
    "no key": unauthenticated(lambda case: case.http.post("/bulk/import", json={})),
    "a malformed key": unauthenticated(with_header("Bearer x")),
    "an unknown key": unauthenticated(lambda case: with_header(f"Bearer {keys.make(store.pepper())}")(case)),
    "a key without the scope": Row(
        lambda case: case.http.post("/bulk/import", json={}, headers=case.key()),
        403, "missing_scope", "This API key lacks the scope bulk:import",
    ),
    "an unknown id": Row(lambda case: get(case, f"/bulk/status/{uuid.uuid4()}"), 404, "not_found"),
    "another owner's id": Row(
        lambda case: case.http.get(f"/bulk/status/{case.imported()}", headers=case.key()), 404, "not_found"
    ),
    "an unknown path": Row(lambda case: get(case, "/nowhere"), 404, "not_found"),
    "another method": Row(lambda case: case.http.put("/api/keys"), 405, "method_not_allowed", "", ("allow",)),
    "no cards": Row(
        posting("/bulk/import", {"cards": []}), 400, "invalid_request", "No cards provided for import"
    ),
    "10,001 cards": Row(
        posting("/bulk/import", {"cards": [{}] * 10_001}),
        400, "invalid_request", "Maximum 10,000 cards per import operation",
    ),
    "no ids": Row(
        posting("/bulk/delete", {"card_ids": []}), 400, "invalid_request", "No card IDs provided for deletion"
    ),
    "10,001 ids": Row(
        posting("/bulk/delete", {"card_ids": ["x"] * 10_001}),
        400, "invalid_request", "Maximum 10,000 cards per delete operation",
    ),
    "format xml": Row(
        posting("/bulk/export", {"format": "xml"}),
        400, "invalid_format", "Invalid format. Must be one of: json, markdown, csv",
    ),
    "not JSON": not_json(b"nope"),
    "not UTF-8": not_json(b'{"cards": ["\xff"]}'),
    "NaN": not_json(b'{"cards": [NaN]}'),
    "1e999": not_json(b'{"cards": [1e999]}'),
    "nested deeper than 64": not_json(b'{"cards": ' + b"[" * 64 + b"]" * 64 + b"}"),
    "a name twice": not_json(b'{"cards": [], "cards": []}'),
    "a BOM": not_json(b"\xef\xbb\xbf{}"),
    "a wrong type in the envelope": Row(
        posting("/bulk/import", {"cards": [CARD], "dry_run": "yes"}),
        422, "validation_failed", pointers=frozenset({"/dry_run"}),
    ),
    "an unknown field in it": Row(
        posting("/bulk/import", {"cards": [CARD], "x/y": 1}),
        422, "validation_failed", pointers=frozenset({"/x~1y"}),
    ),
    "a body too large as declared": too_large(BIG),
    "a body too large in chunks": Row(chunked, 413, "payload_too_large"),
    "a body too large once decompressed": too_large(gzip.compress(BIG), **{"Content-Encoding": "gzip"}),
    "a body that does not come": Row(Case.stalled, 408, "request_timeout"),
    "an unknown media type": Row(
        lambda case: case.raw(b"x", **{"Content-Type": "image/png"}), 415, "unsupported_media_type"
    ),
    "an unknown encoding": Row(
        lambda case: case.raw(b"{}", **{"Content-Encoding": "br"}), 415, "unsupported_media_type"
    ),
    "one Idempotency-Key, two bodies": Row(
        lambda case: case.again("/bulk/import", {"cards": [CARD]}, {"cards": [CARD, CARD]}),
        422, "idempotency_key_reused",
    ),
    "over the rate": Row(Case.over_the_rate, 429, "rate_limited", "Too many operations", LIMIT),
    "over the queue": Row(Case.over_the_queue, 429, "rate_limited", "You have 1 unfinished", LIMIT),
    "over the quota": Row(Case.over_the_quota, 429, "rate_limited", "Too many cards", LIMIT),
    "an operation that is over": Row(
        lambda case: send(case, f"/bulk/operations/{case.imported()}/cancel"), 409, "conflict"
    ),
    "a file not finished": Row(
        lambda case: case.file_of(send(case, "/bulk/export", {}).json()["task_id"]), 409, "not_finished"
    ),
    "a file that never came": Row(Case.without_file, 409, "no_file"),
    "a file past its retention": Row(Case.past_retention, 410, "gone"),
    "a watermark of another database": Row(Case.of_another_database, 410, "watermark_gone"),
    "a signature of another file": Row(Case.foreign_signature, 403, "invalid_signature"),
    "PostgreSQL down": Row(Case.down, 503, "unavailable", "", ("retry-after",)),
    "a mistake of ours": Row(Case.broken, 500, "internal_error", "Something went wrong on our side."),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_each_row_of_the_table(row: Row, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(database)
    case.patch = monkeypatch
    answer = row.ask(case)
    body = answer.json()
    assert (answer.status_code, body.get("code")) == (row.status, row.code), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code", "request_id"}
    assert body["status"] == row.status
    assert body["type"].endswith("/" + row.code.replace("_", "-"))
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"].startswith(row.detail)
    assert {name for name in row.fields if name not in answer.headers} == set()
    assert {one["pointer"] for one in body.get("errors", [])} == row.pointers
    if row.detail == NOT_JSON:
        assert " at line 1 column " in body["detail"]


def test_every_documented_code_and_status_is_in_a_row() -> None:
    documented = {
        (code, int(status)) for code, status, _ in page("docs/reference/errors.md").table("## Requests")
    }
    # Over HTTP a scope that does not exist is a wrong value in the envelope; the command line says this.
    with pytest.raises(InvalidRequest) as refused:
        store.create_key(uuid.uuid4(), "k", ["nothing"])
    unknown_scope = (refused.value.instance_code, problems.status_of(refused.value))
    assert documented == {(row.code, row.status) for row in ROWS.values()} | {unknown_scope}
