"""Headers of every answer, and the pages of the API itself."""

from __future__ import annotations

import re

import pytest

from backend.core.settings import get_settings
from backend.tests.support.service import InProcess, get


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.js", "/bulk/health", "/nowhere", "/tokens/balance"])
def test_every_answer_carries_the_security_headers(service: InProcess, path: str) -> None:
    headers = get(service, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"]


def test_personal_data_is_not_stored_on_the_way(service: InProcess) -> None:
    assert get(service, "/tokens/balance").headers["cache-control"] == "no-store"


def test_a_harmless_request_id_is_kept_and_another_is_not(service: InProcess) -> None:
    assert get(service, "/docs", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    odd = get(service, "/docs", headers={"X-Request-Id": "a b<script>"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", odd)


def test_the_documentation_page_has_no_inline_script_and_nothing_from_elsewhere(service: InProcess) -> None:
    page = service.http.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"<script(?![^>]*\bsrc=)", page.text) == []
    assert re.findall(r"\bon\w+=", page.text) == []
    assert re.findall(r"""(?:src|href)="(?!/)""", page.text) == []
    for path in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text):
        assert service.http.get(path).status_code == 200


def test_other_origins_are_not_let_in_unless_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    assert "access-control-allow-origin" not in InProcess(database).http.get("/docs", headers=origin).headers
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", "https://elsewhere.example")
    get_settings.cache_clear()
    answer = InProcess(database).http.get("/docs", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://elsewhere.example"
