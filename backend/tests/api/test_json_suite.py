"""Every text of a JSON parsing suite as a body, and as a card: a 4xx or 202, never changed on the way."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from backend.core.settings import get_settings
from backend.tests.formats.json_cases import FREE, INVALID, VALID
from backend.tests.support.service import InProcess, get


@pytest.fixture(autouse=True)
def _without_rates(monkeypatch: pytest.MonkeyPatch, service: InProcess) -> None:
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")
    get_settings.cache_clear()


def post(service: InProcess, body: bytes) -> int:
    headers = {**service.headers, "Content-Type": "application/json"}
    return service.http.post("/bulk/import", content=body, headers=headers).status_code


def test_no_text_as_a_body_breaks_the_service(service: InProcess) -> None:
    for text in VALID:
        assert post(service, text) in (400, 422), text
    for text in INVALID:
        assert post(service, text) == 400, text


def test_a_text_among_the_cards_is_refused_or_fails_alone_as_it_was_sent(service: InProcess) -> None:
    for text in INVALID:
        if text.strip() not in (b"", b",") and b"\xef\xbb\xbf" not in text:
            assert post(service, b'{"cards": [' + text + b"]}") in (202, 400), text
    headers = {**service.headers, "Content-Type": "application/json"}
    body = b'{"cards": [' + b",".join(VALID) + b"]}"
    answer = service.http.post("/bulk/import", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    task = answer.json()["task_id"]
    status = service.finished(task)
    assert status["result"]["cards_failed"] == len(VALID)
    kept = get(service, f"/bulk/operations/{task}/errors").content
    assert [error["card"] for error in json.loads(kept)["errors"]] == [json.loads(text) for text in VALID]


def test_text_of_cards_comes_out_as_it_went_in(service: InProcess) -> None:
    texts = [value for text in VALID if isinstance(value := json.loads(text), list) and len(value) == 1]
    words = [value[0] for value in texts if isinstance(value[0], str) and value[0]]
    storable = [word for word in words if not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in word)]
    cards = [{"title": "t", "body": word, "category": "c", "privacy_level": "PRIVATE"} for word in storable]
    headers = {**service.headers, "Content-Type": "application/json"}
    answer = service.http.post("/bulk/import", content=json.dumps({"cards": cards}), headers=headers)
    assert service.finished(answer.json()["task_id"])["result"]["cards_failed"] == 0
    stored = [row[0] for row in service.query("SELECT body FROM cards ORDER BY id")]
    assert stored == storable


def test_what_the_standard_leaves_open_is_refused_as_a_body(service: InProcess) -> None:
    for text in FREE:
        assert post(service, text) in (400, 422), text[:60]
        assert post(service, b'{"cards": [' + text + b"]}") in (202, 400), text[:60]


def test_as_metadata_each_text_is_refused_or_comes_out_as_it_was_sent(service: InProcess) -> None:
    """A number out of a float's range, an integer of any size, half a surrogate pair: never another value."""
    headers = {**service.headers, "Content-Type": "application/json"}
    sent = []
    for text in VALID + FREE:
        card = b'{"title":"t","body":"b","category":"c","privacy_level":"PRIVATE","external_id":"%d",' % len(
            sent
        )
        body = b'{"cards":[' + card + b'"metadata":{"m":' + text + b"}}]}"
        answer = service.http.post("/bulk/import", content=body, headers=headers)
        assert answer.status_code in (202, 400), text[:60]
        if answer.status_code == 202:
            sent.append(text)
    service.run()
    out = get(service, "/cards/export", params={"format": "ndjson"}).text.split("\n")
    cards = {card["external_id"]: card["metadata"]["m"] for card in map(exactly, filter(None, out))}
    for number, text in enumerate(sent):
        if str(number) in cards:
            assert cards[str(number)] == exactly(text), text[:60]
    failed = [text for number, text in enumerate(sent) if str(number) not in cards]
    assert all(b"\\u" in text or b"e-" in text for text in failed), failed  # cannot be stored
    assert len(cards) >= len(VALID) - 10


def exactly(text: str | bytes) -> Any:
    """A JSON value whose numbers compare by all of their digits."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)
