"""Whatever stands in a foreign record, its mapping gives a dict, and never an exception.

Text without NUL and lone surrogates must even give a card that is accepted: a preset is there so that
real files import without a single failure.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cards import reading, schema
from backend.formats import fitting
from backend.formats.presets.anki_note import card_from_note as card_from_flashcard
from backend.formats.presets.html_text import html_to_text
from backend.formats.presets.notion_page import card_from_page, card_from_row, split_page
from backend.formats.presets.obsidian_note import card_from_note
from backend.formats.presets.readwise_row import card_from_row as card_from_highlight
from backend.formats.presets.tweet import card_from_tweet

_any_text = st.text(st.characters(), max_size=60)
_storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
_markup = st.lists(
    st.sampled_from(
        ["<b>", "</div>", "<br>", "&amp;", "&#x0;", "&lt", "<!--", "-->", "<script>", "a", "\n", "<", "é "]
    ),
    max_size=20,
).map("".join)
_words = st.sampled_from(
    [
        "Highlight",
        "Title",
        "Tags",
        "Date",
        "URL",
        "Note",
        "Name",
        "Created time",
        "Privacy",
        "Category",
        "Body",
        "",
    ]
)
_cells = st.one_of(
    _storable,
    _markup.map(lambda text: text.replace("&#x0;", "")),
    st.sampled_from(
        [
            "2024-01-05",
            "https://example.com/x y",
            "https://example.com",
            "a, b; c",
            "January 5, 2024 3:04 PM",
            "   ",
            "x" * 2_000,
        ]
    ),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _any_text | st.dates() | st.datetimes(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_any_text, children, max_size=4),
    max_leaves=10,
)


def encode(card: dict[str, Any]) -> bytes:
    return json.dumps(card, ensure_ascii=True, allow_nan=False).encode()


def accepted(card: dict[str, Any]) -> schema.CardIn:
    read = reading.read_card(encode(card))
    assert isinstance(read, schema.CardIn), read
    return read


def test_the_limits_are_those_of_a_card() -> None:
    for name in ("MAX_TITLE", "MAX_CATEGORY", "MAX_TAGS", "MAX_TAG", "MAX_URL", "MAX_EXTERNAL_ID"):
        assert getattr(fitting, name) == getattr(schema, name)
    assert fitting.DEFAULT_PRIVACY_LEVEL in schema.PRIVACY_LEVELS


@given(st.lists(_words | _storable, max_size=8), st.lists(_cells, max_size=9))
def test_any_row_of_highlights_is_a_card(header: list[str], row: list[str]) -> None:
    card = accepted(card_from_highlight(header, row, {}))
    assert card.privacy_level == "PRIVATE"


@given(st.lists(_words | _storable, max_size=8), st.lists(_cells, max_size=9), _storable)
def test_any_row_of_a_database_is_a_card(header: list[str], row: list[str], database: str) -> None:
    accepted(card_from_row(header, row, database, {}))


@given(
    st.lists(_cells, max_size=6),
    st.fixed_dictionaries(
        {},
        optional={
            "html": st.sampled_from([True, False, None]),
            "tags column": st.integers(1, 8),
            "guid column": st.integers(1, 8),
            "deck column": st.integers(1, 8),
            "columns": st.lists(_storable, max_size=6),
            "deck": _storable,
            "tags": _storable,
        },
    ),
)
def test_any_flashcard_is_a_card(row: list[str], headers: dict[str, Any]) -> None:
    accepted(card_from_flashcard(headers, row, {}))


@given(_markup | _any_text)
def test_any_html_becomes_text(source: str) -> None:
    assert isinstance(html_to_text(source), str)


_pages = st.lists(
    st.sampled_from(
        ["# Title", "\n", "\r\n", "Tags: a, b", "Created: 2024-01-05", "Not: x: y", "text", "  ", ":", "é"]
    ),
    max_size=14,
).map("".join)


@given(_pages | _storable, st.none() | st.lists(st.sampled_from(["Tags", "Created", "Not"])), _storable)
def test_any_page_is_a_card_and_loses_no_line(text: str, columns: list[str] | None, path: str) -> None:
    card = accepted(card_from_page(path, text, columns, {}))
    _, properties, body = split_page(text, columns)
    assert text.endswith(body)
    assert card.body == body
    assert all(name in text and all(line in text for line in value.split("\n")) for name, value in properties)


_front = st.dictionaries(
    _any_text
    | st.sampled_from(["title", "tags", "created", "source", "metadata", "aliases", "date", "external_id"]),
    _json,
    max_size=6,
)


@given(_any_text, _front, _any_text)
def test_any_note_is_mapped(path: str, front_matter: dict[str, Any], body: str) -> None:
    reading.read_card(encode(card_from_note(path, front_matter, body, {})))


@given(
    st.dictionaries(
        _any_text | st.sampled_from(["tweet", "full_text", "id_str", "entities", "created_at"]),
        _json,
        max_size=6,
    )
)
@settings(max_examples=200)
def test_any_object_is_mapped_as_a_tweet(record: dict[str, Any]) -> None:
    card = card_from_tweet(record, "", {})
    if card is not None:
        reading.read_card(encode(card))


@given(
    st.fixed_dictionaries(
        {"id_str": st.from_regex(r"\d{1,19}", fullmatch=True), "full_text": _storable},
        optional={
            "created_at": st.sampled_from(["Wed Oct 10 20:19:24 +0000 2018", "never", ""]),
            "favorite_count": st.sampled_from(["0", "12", "many"]),
            "entities": st.fixed_dictionaries(
                {}, optional={"hashtags": st.lists(st.fixed_dictionaries({"text": _storable}), max_size=60)}
            ),
        },
    )
)
def test_any_tweet_is_a_card(tweet: dict[str, Any]) -> None:
    card = card_from_tweet({"tweet": tweet}, "me", {})
    assert card is not None
    assert accepted(card).external_id == tweet["id_str"]


def test_a_property_that_holds_itself_ends() -> None:
    endless: dict[str, Any] = {"a": 1}
    endless["self"] = [endless, endless]
    assert len(encode(fitting.jsonable(endless))) < 2_000_000
