"""The documented contract, line by line. With ``--integration`` also on the whole stack, over HTTP."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from backend.tests.support.service import InProcess, OnStack, Service, done, get, send

DOCUMENTED_CARD = {
    "title": "How to Build Momentum",
    "body": "The key to building momentum is...",
    "category": "BUSINESS",
    "privacy_level": "BUSINESS",
    "tags": ["business", "growth"],
    "source_platform": "twitter",
    "source_url": "https://twitter.com/user/status/123",
    "metadata": {},
}


@pytest.fixture(params=["in process", pytest.param("stack", marks=pytest.mark.integration)])
def service(request: pytest.FixtureRequest) -> Service:
    """The API, in this process or as a whole stack."""
    if request.param == "stack":
        return OnStack(request.getfixturevalue("stack"))
    return InProcess(request.getfixturevalue("database"))


def cards(count: int, level: str = "BUSINESS", **more: Any) -> list[dict[str, Any]]:
    return [
        {"title": f"Card {i}", "body": f"Content {i}", "category": "BUSINESS", "privacy_level": level, **more}
        for i in range(count)
    ]


def imported(service: Service, count: int, level: str = "BUSINESS", **more: Any) -> list[str]:
    """The ids of cards that were just imported."""
    answer = send(service, "/bulk/import", {"cards": cards(count, level, **more)})
    done(service, answer)
    results = get(service, f"/bulk/operations/{answer.json()['task_id']}/results").json()["results"]
    return [line["card_id"] for line in results]


class TestImport:
    def test_is_accepted_with_the_documented_answer(self, service: Service) -> None:
        answer = send(
            service,
            "/bulk/import",
            {"cards": [DOCUMENTED_CARD], "publish_business": True, "publish_ideas": True},
        )
        body = answer.json()
        assert answer.status_code == 202
        assert set(body) == {
            "task_id",
            "status",
            "message",
            "estimated_duration_seconds",
            "check_status_url",
        }
        assert uuid.UUID(body["task_id"])
        assert body["status"] == "PENDING"
        assert body["message"] == "Bulk import initiated for 1 cards"
        assert body["estimated_duration_seconds"] >= 1
        assert body["check_status_url"] == f"/bulk/status/{body['task_id']}"
        assert answer.headers["location"] == body["check_status_url"]
        assert int(answer.headers["retry-after"]) >= 1
        done(service, answer)

    def test_ends_with_the_documented_result(self, service: Service) -> None:
        levels = ["BUSINESS"] * 8 + ["PRIVATE"] * 2
        sent = [card | {"privacy_level": level} for card, level in zip(cards(10), levels, strict=True)]
        status = done(service, send(service, "/bulk/import", {"cards": sent}))
        assert set(status) == {"task_id", "status", "result", "completed_at"}
        assert status["status"] == "SUCCESS"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["completed_at"])
        result = status["result"]
        assert result.pop("duration_seconds") >= 0
        assert result == {
            "cards_imported": 10,
            "cards_failed": 0,
            "cards_published": 8,
            "extropy_earned": "8.00000000",
            "errors": [],
        }

    def test_stores_every_field_of_the_card(self, service: Service) -> None:
        card_id = imported_ids(service, [DOCUMENTED_CARD | {"metadata": {"a": [1, None]}}])[0]
        row = service.query(
            "SELECT title, body, category, privacy_level, tags, source_platform, source_url, metadata,"
            " is_published, deleted_at FROM cards WHERE id = %s",
            card_id,
        )[0]
        assert row == (
            "How to Build Momentum",
            "The key to building momentum is...",
            "BUSINESS",
            "BUSINESS",
            ["business", "growth"],
            "twitter",
            "https://twitter.com/user/status/123",
            {"a": [1, None]},
            True,
            None,
        )

    @pytest.mark.parametrize(
        ("level", "flags", "published"),
        [
            ("BUSINESS", {}, True),
            ("IDEAS", {}, True),
            ("BUSINESS", {"publish_business": False}, False),
            ("IDEAS", {"publish_ideas": False}, False),
            ("IDEAS", {"publish_business": False}, True),
            ("business", {}, True),
            ("PRIVATE", {}, False),
            ("PERSONAL", {}, False),
            ("THOUGHTS", {}, False),
            ("JOURNAL", {}, False),
        ],
    )
    def test_publishes_by_privacy_level_and_flag(
        self, service: Service, level: str, flags: dict[str, bool], published: bool
    ) -> None:
        card_id = imported_ids(service, cards(1, level), **flags)[0]
        is_published, url, published_at, stored = service.query(
            "SELECT is_published, published_url, published_at, privacy_level FROM cards WHERE id = %s",
            card_id,
        )[0]
        assert is_published is published
        assert (published_at is not None) is published
        assert stored == level.upper()
        if published:
            assert re.fullmatch(r"https://extrophi\.ai/cards/card-0-[0-9A-Za-z]+", url)
        else:
            assert url is None

    def test_awards_one_token_per_published_card(self, service: Service) -> None:
        imported(service, 25)
        imported(service, 5, "PRIVATE")
        assert get(service, "/tokens/balance").json()["balance"] == "25.00000000"
        entries = get(service, "/tokens/ledger").json()["entries"]
        assert len(entries) == 25
        assert len({entry["card_id"] for entry in entries}) == 25
        assert {entry["amount"] for entry in entries} == {"1.00000000"}
        assert service.violations() == []  # type: ignore[attr-defined]

    def test_reports_one_bad_card_among_a_thousand(self, service: Service) -> None:
        sent = cards(1000)
        sent[417] = {"title": "No body", "category": "BUSINESS", "privacy_level": "BUSINESS"}
        status = done(service, send(service, "/bulk/import", {"cards": sent}))
        assert status["status"] == "SUCCESS"
        result = status["result"]
        assert (result["cards_imported"], result["cards_failed"]) == (999, 1)
        (error,) = result["errors"]
        assert error["index"] == 417
        assert error["title"] == "No body"
        assert error["code"] == "missing_field"
        assert error["message"]

    @pytest.mark.parametrize(
        "bad",
        [17, None, "text", [], {}, {"title": 1}, {**DOCUMENTED_CARD, "privacy_level": "SECRET"},
         {**DOCUMENTED_CARD, "title": ""}, {**DOCUMENTED_CARD, "title": "x" * 1001},
         {**DOCUMENTED_CARD, "title": "a\x00b"}, {**DOCUMENTED_CARD, "body": "\ud800"},
         {**DOCUMENTED_CARD, "tags": ["x"] * 51}, {**DOCUMENTED_CARD, "source_url": "javascript:alert(1)"},
         {**DOCUMENTED_CARD, "metadata": []}, {**DOCUMENTED_CARD, "colour": "red"}],
    )  # fmt: skip
    def test_a_bad_card_fails_alone(self, service: Service, bad: Any) -> None:
        status = done(service, send(service, "/bulk/import", {"cards": [bad, DOCUMENTED_CARD]}))
        assert status["status"] == "SUCCESS"
        assert (status["result"]["cards_imported"], status["result"]["cards_failed"]) == (1, 1)
        assert status["result"]["errors"][0]["index"] == 0

    def test_takes_ten_thousand_cards(self, service: Service) -> None:
        status = done(service, send(service, "/bulk/import", {"cards": cards(10_000)}))
        assert status["result"]["cards_imported"] == 10_000
        assert status["result"]["extropy_earned"] == "10000.00000000"


class TestExport:
    @pytest.mark.parametrize("format", ["json", "markdown", "csv"])
    def test_is_accepted_with_the_documented_answer(self, service: Service, format: str) -> None:
        imported(service, 3)
        body = {
            "card_ids": None,
            "privacy_levels": ["BUSINESS", "IDEAS"],
            "categories": None,
            "published_only": False,
            "format": format,
            "include_metadata": True,
        }
        answer = send(service, "/bulk/export", body)
        assert answer.status_code == 202
        assert answer.json()["message"] == f"Bulk export initiated in {format} format"
        status = done(service, answer)
        assert status["status"] == "SUCCESS"
        assert status["result"]["cards_exported"] == 3
        assert status["result"]["export_format"] == format
        file = get(service, status["result"]["download_url"])
        assert file.status_code == 200
        assert len(file.content) == status["result"]["file_size_bytes"]

    def test_filters_by_privacy_level(self, service: Service) -> None:
        imported(service, 2, "BUSINESS")
        imported(service, 3, "PRIVATE")
        answer = send(service, "/bulk/export", {"format": "json", "privacy_levels": ["PRIVATE"]})
        assert done(service, answer)["result"]["cards_exported"] == 3

    def test_an_empty_export_is_an_empty_file(self, service: Service) -> None:
        status = done(service, send(service, "/bulk/export", {"format": "json"}))
        assert status["status"] == "SUCCESS"
        assert status["result"]["cards_exported"] == 0


class TestDelete:
    def test_softly_by_default_and_the_data_stays(self, service: Service) -> None:
        ids = imported(service, 3)
        answer = send(service, "/bulk/delete", {"card_ids": ids[:2]})
        assert answer.json()["message"] == "Bulk delete initiated for 2 cards"
        result = done(service, answer)["result"]
        assert (result["cards_deleted"], result["cards_failed"], result["soft_delete"]) == (2, 0, True)
        rows = service.query(
            "SELECT deleted_at IS NOT NULL, is_published, metadata ->> 'deleted', body FROM cards"
            " WHERE id = ANY(%s) ORDER BY id",
            [uuid.UUID(one) for one in ids],
        )
        assert rows == [
            (True, False, "true", "Content 0"),
            (True, False, "true", "Content 1"),
            (False, True, None, "Content 2"),
        ]
        assert get(service, "/tokens/balance").json()["balance"] == "3.00000000"

    def test_for_good_removes_the_rows(self, service: Service) -> None:
        ids = imported(service, 3)
        done(service, send(service, "/bulk/delete", {"card_ids": ids, "soft_delete": False}))
        assert service.query("SELECT 1 FROM cards WHERE id = ANY(%s)", [uuid.UUID(one) for one in ids]) == []
        assert get(service, "/tokens/balance").json()["balance"] == "3.00000000"

    def test_names_every_id_that_is_not_there_or_not_yours(self, service: Service) -> None:
        (mine,) = imported(service, 1)
        own, service.headers = service.headers, service.new_user()
        (theirs,) = imported(service, 1)
        service.headers = own
        sent = [mine, theirs, str(uuid.uuid4()), "nonsense", 7, mine.upper()]
        result = done(service, send(service, "/bulk/delete", {"card_ids": sent}))["result"]
        assert (result["cards_deleted"], result["cards_failed"]) == (1, 5)
        codes = [(error["index"], error["code"]) for error in result["errors"]]
        assert codes == [
            (1, "not_found"), (2, "not_found"), (3, "invalid_value"), (4, "invalid_value"), (5, "duplicate"),
        ]  # fmt: skip

    def test_what_was_deleted_softly_comes_back_without_a_second_award(self, service: Service) -> None:
        ids = imported(service, 3)
        columns = "SELECT published_url, metadata, is_published FROM cards WHERE id = ANY(%s) ORDER BY id"
        keys = [uuid.UUID(one) for one in ids]
        before = service.query(columns, keys)
        done(service, send(service, "/bulk/delete", {"card_ids": ids}))
        result = done(service, send(service, "/bulk/restore", {"card_ids": ids}))["result"]
        assert result["cards_restored"] == 3
        assert service.query(columns, keys) == before
        assert get(service, "/tokens/balance").json()["balance"] == "3.00000000"


class TestStatus:
    def test_says_where_an_operation_is_and_then_how_it_ended(self, service: Service) -> None:
        answer = send(service, "/bulk/import", {"cards": cards(500)})
        url = answer.json()["check_status_url"]
        early = get(service, url).json()
        if early["status"] != "SUCCESS":
            assert early["status"] in ("PENDING", "STARTED")
            assert set(early) == {"task_id", "status", "progress"}
            assert early["progress"]["total"] == 500
            assert set(early["progress"]) == {"current", "total", "percent"}
        done(service, answer)
        assert "progress" not in get(service, url).json()

    @pytest.mark.parametrize("task_id", ["019a0000-0000-7000-8000-000000ffffff", "nonsense", "0"])
    def test_is_404_for_an_unknown_id(self, service: Service, task_id: str) -> None:
        answer = get(service, f"/bulk/status/{task_id}")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("application/problem+json")

    def test_is_404_for_somebody_elses(self, service: Service) -> None:
        answer = send(service, "/bulk/import", {"cards": cards(1)})
        done(service, answer)
        url = answer.json()["check_status_url"]
        service.headers = service.new_user()
        assert get(service, url).status_code == 404


class TestHealth:
    def test_has_the_documented_fields(self, service: Service) -> None:
        body = service.http.get("/bulk/health").json()
        assert {"status", "service", "version", "celery_workers", "worker_count"} <= set(body)
        assert body["service"] == "bulk-operations"
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", body["version"])
        if isinstance(service, OnStack):
            assert (body["status"], body["celery_workers"]) == ("healthy", "healthy")
            assert body["worker_count"] >= 1


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "body", "detail"),
        [
            ("/bulk/import", {"cards": []}, "No cards provided for import"),
            ("/bulk/import", {"cards": [{}] * 10_001}, "Maximum 10,000 cards per import operation"),
            ("/bulk/delete", {"card_ids": []}, "No card IDs provided for deletion"),
            ("/bulk/delete", {"card_ids": ["x"] * 10_001}, "Maximum 10,000 cards per delete operation"),
            (
                "/bulk/export",
                {"format": "xml"},
                "Invalid format. Must be one of: json, markdown, csv",
            ),
        ],
    )
    def test_the_documented_400s(self, service: Service, path: str, body: Any, detail: str) -> None:
        answer = send(service, path, body)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["detail"].startswith(detail)
        assert answer.json()["status"] == 400

    @pytest.mark.parametrize(
        "header",
        [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"},
         {"Authorization": "Bearer extro_live_" + "a" * 38}],
    )  # fmt: skip
    def test_401_for_every_bad_key(self, service: Service, header: dict[str, str]) -> None:
        answer = service.http.post("/bulk/import", json={"cards": cards(1)}, headers=header)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "Invalid or missing API key"
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("path", "body", "pointer"),
        [
            ("/bulk/import", {"cards": 5}, "/cards"),
            ("/bulk/import", {"cards": [DOCUMENTED_CARD], "publish_business": "yes"}, "/publish_business"),
            ("/bulk/import", {"cards": [DOCUMENTED_CARD], "colour": 1}, "/colour"),
            ("/bulk/delete", {"card_ids": "x"}, "/card_ids"),
            ("/bulk/delete", {"card_ids": ["x"], "soft_delete": 1}, "/soft_delete"),
        ],
    )
    def test_422_points_at_what_is_wrong(self, service: Service, path: str, body: Any, pointer: str) -> None:
        answer = send(service, path, body)
        assert answer.status_code == 422, answer.text
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def imported_ids(service: Service, sent: list[dict[str, Any]], **options: Any) -> list[str]:
    answer = send(service, "/bulk/import", {"cards": sent, **options})
    done(service, answer)
    results = get(service, f"/bulk/operations/{answer.json()['task_id']}/results").json()["results"]
    return [line["card_id"] for line in results]
