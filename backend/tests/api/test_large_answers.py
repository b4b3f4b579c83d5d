"""Answers stay small however much went wrong; the whole of it is a download."""

from __future__ import annotations

import json

from backend.tests.support.service import InProcess, done, get, send

DOCUMENTED_ERRORS = 100


def test_a_status_with_ten_thousand_failed_cards_holds_the_first_hundred_and_says_where_all_are(
    service: InProcess,
) -> None:
    bad = {"title": "x" * 1_000, "body": "b" * 500, "category": "c", "privacy_level": "SECRET"}
    answer = send(service, "/bulk/import", {"cards": [bad] * 10_000})
    status = done(service, answer)
    result = status["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (0, 10_000)
    assert [error["index"] for error in result["errors"]] == list(range(DOCUMENTED_ERRORS))
    shown = get(service, answer.headers["location"])
    assert len(shown.content) < 200_000
    everything = get(service, result["errors_url"] + "?format=ndjson").text.splitlines()
    assert [json.loads(line)["index"] for line in everything] == list(range(10_000))
    listed = get(service, "/bulk/operations")
    assert len(listed.content) < 5_000


def test_an_estimate_comes_from_what_this_installation_measured(service: InProcess) -> None:
    cards = [{"title": "t", "body": "b", "category": "c", "privacy_level": "PRIVATE"}] * 1_000
    first = send(service, "/bulk/import", {"cards": cards})
    assert first.json()["estimated_duration_seconds"] == 1
    done(service, first)
    service.query("UPDATE operations SET started_at = finished_at - interval '50 seconds' RETURNING id")
    slow = send(service, "/bulk/import", {"cards": cards})
    assert slow.json()["estimated_duration_seconds"] == 50
