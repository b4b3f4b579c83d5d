"""What a card must look like, each limit to the unit, and what is said about one that does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cards import schema
from backend.cards.reading import read_card, read_cards
from backend.cards.schema import CardIn, CardProblem, metadata_bytes
from backend.core.texts import Texts

PLAIN: dict[str, Any] = {"title": "t", "body": "", "category": "c", "privacy_level": "PRIVATE"}


def card(**fields: Any) -> CardIn | CardProblem:
    return read_card(json.dumps(PLAIN | fields).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "é" * 1_000}, {"body": "é" * 524_288}, {"category": "漢" * 50}, {"tags": ["x" * 100] * 50},
        {"source_platform": "x" * 100}, {"source_url": "HTTPS://example.org/" + "a" * 2_028},
        {"external_id": "x" * 255}, {"metadata": {"a": "x" * 65_526}}, {"metadata": None}, {"tags": None},
        {"created_at": "2024-02-29T10:00:00.5+14:00"}, {"created_at": "2024-02-29T10:00:00"},
        {"created_at": None},
        {"privacy_level": "business"}, {"id": 5, "is_published": "x", "published_url": [], "_error": {}},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_what_is_within_the_limits_is_a_card(fields: dict[str, Any]) -> None:
    assert isinstance(card(**fields), CardIn)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"title": ""}, "too_short", "title"),
        ({"title": "x" * 1_001}, "too_long", "title"),
        ({"body": "é" * 524_288 + "x"}, "too_long", "body"),
        ({"category": ""}, "too_short", "category"),
        ({"category": "x" * 51}, "too_long", "category"),
        ({"tags": ["x"] * 51}, "too_many", "tags"),
        ({"tags": ["x" * 101]}, "too_long", "tags"),
        ({"tags": "x"}, "wrong_type", "tags"),
        ({"tags": [1]}, "wrong_type", "tags"),
        ({"source_platform": "x" * 101}, "too_long", "source_platform"),
        ({"source_url": "https://example.org/" + "a" * 2_029}, "too_long", "source_url"),
        ({"source_url": "ftp://example.org"}, "invalid_value", "source_url"),
        ({"source_url": ""}, "invalid_value", "source_url"),
        ({"external_id": ""}, "too_short", "external_id"),
        ({"external_id": "x" * 256}, "too_long", "external_id"),
        ({"metadata": {"a": "x" * 65_529}}, "too_long", "metadata"),
        ({"metadata": [1]}, "wrong_type", "metadata"),
        ({"metadata": {"a\0": 1}}, "unstorable", "metadata"),
        ({"metadata": {"a": ["\ud800"]}}, "unstorable", "metadata"),
        ({"title": "a\0b"}, "unstorable", "title"),
        ({"body": "\udfff"}, "unstorable", "body"),
        ({"created_at": "yesterday"}, "invalid_value", "created_at"),
        ({"created_at": "0001-01-01T00:00:00Z"}, "invalid_value", "created_at"),
        ({"created_at": 5}, "wrong_type", "created_at"),
        ({"privacy_level": "SECRET"}, "invalid_value", "privacy_level"),
        ({"privacy_level": None}, "wrong_type", "privacy_level"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)
def test_what_is_beyond_them_fails_with_its_field(fields: dict[str, Any], code: str, field: str) -> None:
    found = card(**fields)
    assert isinstance(found, CardProblem)
    assert (found.code, found.field) == (code, field)
    for text in (found.message, found.title or ""):
        assert all(char != "\0" and not "\ud800" <= char <= "\udfff" for char in text)


@pytest.mark.parametrize("name", schema.REQUIRED)
def test_each_required_field_is_missed_by_its_name(name: str) -> None:
    raw = json.dumps({key: value for key, value in PLAIN.items() if key != name}).encode()
    assert read_card(raw) == CardProblem(
        "missing_field", f"{name} is required", name, None if name == "title" else "t"
    )


@pytest.mark.parametrize("raw", [b"5", b"null", b"[]", b'"x"'])
def test_what_is_no_object_is_no_card(raw: bytes) -> None:
    found = read_card(raw)
    assert isinstance(found, CardProblem)
    assert found.code == "not_an_object"


def test_metadata_is_kept_as_it_is_written_also_inside_of_an_errors_entry() -> None:
    raw = b'{"title":"t","body":"","category":"c","privacy_level":"PRIVATE","metadata": {"n" : 1.50}}'
    wrapped = b'{"index": 1, "code": "x", "message": "y", "card": ' + raw + b"}"
    for one in (raw, wrapped):
        found = read_card(one)
        assert isinstance(found, CardIn)
        assert metadata_bytes(found) == b'{"n" : 1.50}'


def test_a_time_without_an_offset_is_utc_and_an_empty_platform_is_none() -> None:
    found = card(created_at="2024-02-29T10:00:00", source_platform="")
    assert isinstance(found, CardIn)
    assert (found.created_at, found.source_platform) == (datetime(2024, 2, 29, 10, tzinfo=UTC), None)
    quick = card(source_platform="")
    assert isinstance(quick, CardIn)
    assert quick.source_platform is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_FIELD = st.sampled_from(sorted(schema.KNOWN))


@given(st.dictionaries(_FIELD, _JSON), st.booleans())
def test_nothing_makes_it_raise(fields: dict[str, Any], whole: bool) -> None:
    raw = json.dumps(PLAIN | fields if whole else fields).encode()
    assert isinstance(read_card(raw), CardIn | CardProblem)


_CARD = st.fixed_dictionaries(
    {"title": st.sampled_from(["t", ""]), "body": st.sampled_from(["b", "\0", "\\u0000", "é"])},
    optional={
        "privacy_level": st.sampled_from(["PRIVATE", "ideas", "x"]),
        "source_url": st.sampled_from([None, "https://example.org", "ftp://example.org"]),
        "source_platform": st.sampled_from([None, "", "twitter"]),
        "metadata": st.sampled_from([None, {}, {"a": 1}, []]),
        "created_at": st.sampled_from(
            ["2024-02-29T10:00:00", "2024-02-29T10:00:00Z", "0001-01-01T00:00:00Z"]
        ),
    },
)


@given(st.lists(_CARD, max_size=4))
def test_many_are_read_as_one_by_one(cards: list[dict[str, Any]]) -> None:
    raws = [json.dumps(PLAIN | fields).encode() for fields in cards]
    assert read_cards(Texts.of(raws)) == [read_card(raw) for raw in raws]


def test_a_record_that_is_two_is_none() -> None:
    good = json.dumps(PLAIN).encode()
    found = read_cards(Texts.of([good, good + b"," + good]))
    assert [type(one) for one in found] == [CardIn, CardProblem]


def test_one_bad_record_among_many_fails_alone() -> None:
    good = json.dumps(PLAIN).encode()
    found = read_cards(Texts.of([good, b"5", good, b'{"title":"t"}']))
    assert [type(one) for one in found] == [CardIn, CardProblem, CardIn, CardProblem]
