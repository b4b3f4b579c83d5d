"""How files carry a card's fields: guarded cells, columns in their places, a card with its defaults."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.formats.base import ItemProblem
from backend.formats.fields import GUARDED, RawObject, card_of, encoded, guarded, placed, unguarded


@given(st.text() | st.text(alphabet="'=+-@\t\ra"))
def test_the_guard_against_formulas_is_reversible_and_leaves_none(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert cell[:1] not in GUARDED - {"'"}


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["Title", " BODY ", "Created At"], ["title", "body", "created_at"]),
        (["content", "text"], ["body", None]),
        (["text", "body"], [None, "body"]),
        (["title", "title"], ["title", None]),
        (["external-id", "EXTERNAL ID"], ["external_id", None]),
        (["_error", "_index", "body_bytes"], ["_error", "_index", "body_bytes"]),
        (["id", "title"], [None, "title"]),
        (["id", "title", "is_published"], ["id", "title", "is_published"]),
    ],
)
def test_each_column_has_one_place(names: list[str], places: list[str | None]) -> None:
    assert placed(names) == places


def test_a_missing_title_is_the_files_name_or_the_first_line() -> None:
    for fallback, title in (("", "Head"), ("Name", "Name")):
        card = card_of({"body": "\n## Head\nx"}, {}, {}, fallback_title=fallback)
        assert not isinstance(card, ItemProblem)
        assert card["title"] == title


def test_metadata_as_it_is_written_takes_in_what_is_no_field() -> None:
    card = card_of({"title": "t", "metadata": ' {"n": 1.50} '}, {"n": "other", "m": 2}, {})
    assert not isinstance(card, ItemProblem)
    assert card["metadata"] == RawObject('{"n": 1.50, "n (2)": "other", "m": 2}')
    assert encoded(card).endswith(b', "metadata": {"n": 1.50, "n (2)": "other", "m": 2}}')
    assert json.loads(encoded(card))["metadata"] == {"n": 1.5, "n (2)": "other", "m": 2}


@pytest.mark.parametrize("metadata", ["[1]", "x", "{", '{"a": NaN}', '{"a": 1e999}', ["a"], 5])
def test_metadata_that_is_no_object_is_a_problem_of_the_record(metadata: object) -> None:
    card = card_of({"title": "t", "metadata": metadata}, {}, {})
    assert isinstance(card, ItemProblem)
    assert card.field == "metadata"
