"""Lines of a file go the quick way only where the exact way finds nothing wrong, and makes the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cards.reading import members, read_card, read_lines
from backend.cards.schema import CardIn
from backend.core.errors import MalformedBody
from backend.core.texts import Texts
from backend.formats.json_tape import Tape
from backend.formats.strict_json import are_accounted_for, read_value

TAPE = Tape()
_REQUIRED = [b'"title":"t"', b'"body":"b"', b'"category":"c"', b'"privacy_level":"IDEAS"']
_MORE = (
    b'"title":"u"', rb'"t\u0069tle":"u"', b'"body" : "b"', rb'"body":"\":"', rb'"body":"\u0022:"',
    b'"body":" :"',
    b'"body":"\xff"', b'"body":"a\nb"', rb'"body":"\q"', rb'"body":"\ud800"', b'"tags":null', b'"tags":["a"]',
    b'"tags":["a"],"tags":null', b'"tags":[],"tags":["a"]', b'"metadata":null', b'"metadata":{}',
    b'"metadata":{"a":1}', b'"metadata":{"a":1,"a":2}', rb'"metadata":{"a":1,"\u0061":2}',
    b'"metadata":{"a" :1}',
    b'"metadata":{"a":{"a":1}}', b'"metadata":{"a":{"a":1,"a":2}}', b'"metadata":{"a":[{"a":1,"a":2}]}',
    b'"metadata":{"a":1e999}', b'"metadata":{"a":NaN}', b'"metadata":{"a":"\xff"}', b'"metadata":{"a":01}',
    rb'"metadata":{"a":"\q"}', b'"metadata":{"a":"\t"}', b'"metadata":{"a":' + b"[" * 70 + b"]" * 70 + b"}",
    b'"metadata":{"a":' * 70 + b"1" + b"}" * 70, b'"metadata":{"a":1},"metadata":{"b":2}', b'"id":1',
    b'"id":1e999',
    b'"id":{"a":1,"a":2}', b'"id":{"a":1}', b'"_error":[{"a":1}]', b'"created_at":"2024-02-29T10:00:00Z"',
    b'"source_platform":""', b'"source_platform":"x"', b'"source_url":"http://x"', b'"external_id":"e"', b"",
    b'"external_id":"e","external_id":null', b'"other":1', b'"updated_at":null,"updated_at":null',
)  # fmt: skip
_LINE = st.tuples(
    st.lists(st.sampled_from(_MORE), max_size=3), st.sampled_from([b"", b"", b"", b" ", b"}", b"]"])
).map(lambda made: b"{" + b",".join([*_REQUIRED, *made[0]]) + b"}" + made[1])


@settings(max_examples=1_000, deadline=None)
@given(st.lists(_LINE, min_size=1, max_size=3))
def test_what_is_quickly_found_good_is_good_exactly(lines: list[bytes]) -> None:
    if (found := quickly(lines)) is not None:
        for line in lines:
            read_value(line)
        assert found == [read_card(line) for line in lines]


@pytest.mark.parametrize("more", [b"", *_MORE])
def test_each_line_alone(more: bytes) -> None:
    line = b"{" + b",".join([*_REQUIRED, *[more] * bool(more)]) + b"}"
    if quickly([line]) is not None:
        read_value(line)


def test_lines_that_are_as_many_cards_together_are_none_for_themselves() -> None:
    card = b"{" + b",".join(_REQUIRED)
    assert quickly([card + b"}," + card + b',"metadata":{"a":[{}', b"{}]}}"]) is None
    assert quickly([card, b"}," + card + b"}"]) is None


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"tags": ["a", "b"]}, {"metadata": {}},
        {"tags": None, "source_url": None, "metadata": None, "id": None},
        {"external_id": None, "created_at": None, "source_platform": None},
        {"metadata": {"a": 1, "b": [1, 2]}}, {"external_id": "e"},
        {"id": "x", "is_published": True, "published_url": "https://x.example", "updated_at": "2024"},
        {"created_at": "2024-02-29T10:00:00", "source_platform": "x", "source_url": "https://x.example/a:b"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_usual_lines_go_the_quick_way(fields: dict[str, object], separators: tuple[str, str]) -> None:
    plain = {"title": "t: u", "body": 'He said: "no"\n', "category": "c", "privacy_level": "ideas"}
    line = json.dumps(plain | fields, separators=separators).encode()
    assert quickly([line] * 3) == [read_card(line)] * 3


def quickly(lines: list[bytes]) -> list[CardIn] | None:
    """The cards, where the quick way is certain of them."""
    texts = Texts.of(lines)
    cards = read_lines(texts)
    return cards if cards is not None and are_accounted_for(texts, *members(cards), TAPE) else None


def test_the_exact_way_objects_to_some_of_these() -> None:
    """Else nothing was tried above."""
    refused = 0
    for more in _MORE[:-1]:
        try:
            read_value(b"{" + b",".join([*_REQUIRED, more]) + b"}")
        except MalformedBody:
            refused += 1
    assert refused > 15
