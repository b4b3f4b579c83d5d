"""Filters of exports: what is accepted, and that each takes exactly the cards it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from backend.cards import filters
from backend.cards.filters import Filters, validate
from backend.core.errors import InvalidRequest, ValidationFailed
from backend.core.ids import card_id
from backend.db.session import unit_of_work
from backend.operations.export_options import read_options
from backend.operations.export_stream import ExportStream
from backend.tests.support import hostile

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def titles(owner: UUID, **given: Any) -> set[str]:
    import json

    options = read_options({"format": "ndjson", **given})
    lines = b"".join(ExportStream(owner, options)).split(b"\n")
    found = {json.loads(line)["title"] for line in lines if line}
    with unit_of_work(owner) as connection:
        assert filters.count(connection, owner, options.filters, 100) == len(found)
    return found


@pytest.fixture
def operation(owner: UUID) -> UUID:
    def card(title: str, **more: Any) -> dict[str, Any]:
        return {"title": title, "body": "b", "category": "Notes", "privacy_level": "PRIVATE", **more}

    return hostile.insert(
        owner,
        [
            card("a", category="ÉTUDES", tags=["x", "y"], created_at="2026-01-01T00:00:00Z"),
            card("b", category="études", privacy_level="BUSINESS", source_platform="Twitter"),
            card("c", tags=["y"], privacy_level="IDEAS", created_at=MOMENT.isoformat()),
            card("d", tags=["X"], source_platform="twitter", created_at="2026-02-01T00:00:00+02:00"),
        ],
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "abcd"),
        ({"categories": ["Études"]}, "ab"),
        ({"categories": ["notes", "nothing"]}, "cd"),
        ({"privacy_levels": ["business", "Ideas"]}, "bc"),
        ({"published_only": True}, "bc"),
        ({"published_only": False}, "abcd"),
        ({"tags": ["x"]}, "a"),
        ({"tags": ["x", "y"]}, "ac"),
        ({"source_platforms": ["TWITTER"]}, "bd"),
        ({"created_after": "2026-01-02T03:04:05Z", "created_before": "2026-01-31T22:00:00Z"}, "c"),
        ({"created_before": "2026-01-31T22:00:00.000001Z", "created_after": "2026-01-31T22:00:00"}, "d"),
        ({"privacy_levels": ["PRIVATE"], "tags": ["y"]}, "a"),
        ({"categories": ["' OR true --"]}, ""),
        ({"tags": ['{"x"}', "x'"]}, ""),
    ],
)
def test_each_filter_takes_the_cards_it_says(
    owner: UUID, operation: UUID, given: dict[str, Any], expected: str
) -> None:
    assert titles(owner, **given) == set(expected)


def test_ids_take_only_ones_own_and_only_living_cards(database: str, owner: UUID, operation: UUID) -> None:
    other = uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, 'other')", (other,))
    theirs = hostile.insert(other, [{"title": "t", "body": "", "category": "c", "privacy_level": "PRIVATE"}])
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE cards SET deleted_at = now(), is_published = false, published_url = NULL "
            "WHERE title = 'b'"
        )
    ids = [str(card_id(operation, index)) for index in range(4)] + [str(card_id(theirs, 0)), str(uuid4())]
    assert titles(owner, card_ids=ids) == set("acd")
    assert titles(owner, card_ids=ids[1:2]) == set()
    assert titles(other) == {"t"}


def test_updated_at_narrows_too(database: str, owner: UUID, operation: UUID) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE cards SET updated_at = %s WHERE title = 'a'", (MOMENT,))
    assert titles(owner, updated_before=(MOMENT + timedelta(seconds=1)).isoformat()) == {"a"}
    assert titles(owner, updated_after=(MOMENT + timedelta(seconds=1)).isoformat()) == set("bcd")


def test_the_count_stops_at_its_cap(owner: UUID, operation: UUID) -> None:
    with unit_of_work(owner) as connection:
        assert filters.count(connection, owner, Filters(), 3) == 3


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"categories": []}, "/categories"),
        ({"categories": "BUSINESS"}, "/categories"),
        ({"categories": ["a", 1]}, "/categories/1"),
        ({"categories": ["a\0"]}, "/categories/0"),
        ({"tags": ["\ud800"]}, "/tags/0"),
        ({"privacy_levels": ["PRIVATE", "SECRET"]}, "/privacy_levels/1"),
        ({"card_ids": []}, "/card_ids"),
        ({"card_ids": ["x"]}, "/card_ids/0"),
        ({"card_ids": [str(uuid4()), 5]}, "/card_ids/1"),
        ({"card_ids": {"a": 1}}, "/card_ids"),
        ({"published_only": "yes"}, "/published_only"),
        ({"published_only": 1}, "/published_only"),
        ({"created_after": "yesterday"}, "/created_after"),
        ({"created_after": 5}, "/created_after"),
        ({"tags": ["x"] * 1001}, "/tags"),
    ],
)
def test_wrong_values_are_pointed_at(given: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        validate(given)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_too_many_ids_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"Maximum 10,000 cards per export operation"):
        validate({"card_ids": [str(uuid4())] * 10_001})


def test_null_and_absence_do_not_narrow() -> None:
    assert validate(dict.fromkeys(filters.NAMES)) == validate({}) == Filters()


def test_what_is_stored_reads_back_the_same() -> None:
    given = validate(
        {
            "card_ids": [str(uuid4()), str(uuid4())],
            "categories": ["a", "B"],
            "privacy_levels": ["ideas"],
            "published_only": True,
            "created_after": "2026-01-01T00:00:00.5+02:00",
        }
    )
    assert validate(given.as_json()) == given
