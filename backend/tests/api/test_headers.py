"""Headers of every answer, whatever its outcome, and the pages of the API itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backend.api.routes import tokens
from backend.core.settings import get_settings
from backend.operations import report
from backend.tests.support.service import InProcess, done, get, send

PAGES = ("/", "/docs", "/docs/docs.js", "/docs/docs.css", "/openapi.json", "/docs/nothing", "/nowhere")


def answers(service: InProcess) -> Iterator[tuple[str, Any]]:
    """One of every page, and of every route without a key, with one, with a method and a body it has not."""
    for path in PAGES:
        yield path, service.http.get(path, follow_redirects=False)
    document = service.http.app.openapi()
    for template, methods in document["paths"].items():
        path = re.sub(r"\{\w+\}", "01937b2e-7d3a-7c4e-9f00-3b1c2dffffff", template)
        for method in methods:
            for headers in ({}, service.headers, service.headers | {"Content-Type": "image/png"}):
                yield f"{method} {path}", service.http.request(method, path, headers=headers, content=b"x")
        yield f"TRACE {path}", service.http.request("TRACE", path)


def is_guarded(answer: Any) -> bool:
    headers = answer.headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    return (
        policy["default-src"] == "'none'"
        and policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        and not re.search(r"unsafe|http|\*", headers["content-security-policy"])
        and headers["x-content-type-options"] == "nosniff"
        and headers["referrer-policy"] == "no-referrer"
        and bool(headers["x-request-id"])
    )


def test_every_answer_of_every_route_carries_the_security_headers(service: InProcess) -> None:
    seen = set()
    for name, answer in answers(service):
        assert is_guarded(answer), (name, answer.status_code, answer.headers)
        seen.add(answer.status_code)
    assert {200, 307, 401, 404, 405, 415, 422} <= seen


def test_nothing_but_the_documentations_own_files_may_be_stored_on_the_way(service: InProcess) -> None:
    stored = {name for name, answer in answers(service) if "no-store" not in answer.headers["cache-control"]}
    assert stored == {"/docs/docs.js", "/docs/docs.css"}


def test_the_file_of_an_export_is_not_stored_on_the_way(service: InProcess) -> None:
    done(service, send(service, "/bulk/import", {"cards": [{"title": "t"}]}))
    status = done(service, send(service, "/bulk/export", {"format": "json"}))
    file = get(service, f"/bulk/operations/{status['task_id']}/download")
    assert file.status_code == 200
    assert "no-store" in file.headers["cache-control"]
    assert file.headers["content-disposition"].startswith("attachment")
    assert is_guarded(file)


def test_an_unexpected_error_is_an_answer_with_all_headers(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(tokens.ledger, "balance", fail)
    answer = get(service, "/tokens/balance")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert is_guarded(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert "ratelimit" in answer.headers


def test_a_database_that_fails_in_the_middle_is_503_with_all_headers(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise psycopg.errors.AdminShutdown("terminating connection; theirs")

    monkeypatch.setattr(report, "read", fail)
    answer = get(service, "/bulk/status/01937b2e-7d3a-7c4e-9f00-3b1c2dffffff")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "theirs" not in answer.text
    assert is_guarded(answer)


def test_a_harmless_request_id_is_kept_and_another_is_not(service: InProcess) -> None:
    assert get(service, "/docs", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    odd = get(service, "/docs", headers={"X-Request-Id": "a b<script>"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", odd)


def test_the_documentation_page_has_no_inline_script_and_nothing_from_elsewhere(service: InProcess) -> None:
    page = service.http.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"<script(?![^>]*\bsrc=)", page.text) == []
    assert re.findall(r"<style|\bstyle=|\bon\w+=", page.text) == []
    assert re.findall(r"""(?:src|href)="(?!/)""", page.text) == []
    for path in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text):
        assert service.http.get(path).status_code == 200


def test_the_documentations_script_writes_text_and_never_markup(service: InProcess) -> None:
    """A title or description in the document, whoever wrote it, becomes a text node."""
    script = service.http.get("/docs/docs.js").text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script
    )
    assert not re.search(r"https?://|import\(", script)


def test_other_origins_are_not_let_in_unless_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    preflight = origin | {"Access-Control-Request-Method": "POST"}
    shut = InProcess(database)
    for path in ("/docs", "/tokens/balance", "/bulk/import"):
        for answer in (shut.http.get(path, headers=origin), shut.http.options(path, headers=preflight)):
            assert not [name for name in answer.headers if name.startswith("access-control-")]
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", "https://elsewhere.example")
    get_settings.cache_clear()
    answer = InProcess(database).http.get("/docs", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://elsewhere.example"
    assert "access-control-allow-credentials" not in answer.headers
