"""Bodies taken apart: each card as it was sent, quickly where that is exactly the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import MalformedBody, ValidationFailed
from backend.core.texts import Texts
from backend.formats.envelope import elements_of, look_into, parse_envelope, quick_envelope
from backend.tests.formats.json_ways import SCALARS, VALUES, quickly


@given(cards=st.lists(VALUES, max_size=5), surrogate=st.booleans())
def test_an_envelope_gives_back_each_card_as_it_was_sent(cards: list[Any], surrogate: bool) -> None:
    sent = [json.dumps(card) for card in cards] + (['"\\ud800 "'] if surrogate else [])
    body = ('{"a": 1, "cards" : [ ' + " ,\n".join(sent) + ' ], "b": {"cards": [7]}}').encode()
    envelope = parse_envelope(body)
    assert envelope.cards is not None
    assert envelope.cards.split() == [one.encode() for one in sent]
    assert envelope.fields == {"a": 1, "b": {"cards": [7]}}


def test_an_errors_file_is_an_envelope_too() -> None:
    assert parse_envelope(b'{"errors": [{"index": 1}]}').cards == Texts.of([b'{"index": 1}'])
    assert parse_envelope(b'{"errors": [], "cards": [2]}').cards == Texts.of([b"2"])


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object_is_well_formed_and_invalid(body: bytes) -> None:
    with pytest.raises(ValidationFailed):
        parse_envelope(body)


def test_a_large_body_in_any_script_goes_the_quick_way() -> None:
    for body in ("plain words, ", "漢字かな", "مرحبا بالعالم ", "1234567890 ", "deux points : deux "):
        card = json.dumps({"title": "t", "body": body * 20_000}, ensure_ascii=False).encode()
        assert quick_envelope(b'{"cards":[' + card + b"]}").cards == Texts.of([card])
        look_into(Texts.of([card]))


_GAPS = st.sampled_from([b",", b", ", b",", b", ", b" ,", b",  ", b"\n,", b" , "])


@settings(max_examples=400, deadline=None)
@given(
    records=st.lists(st.sampled_from([b"{}", b'{"a":", {"}', b"1", b'", {"', b'{"b":[1, {}]}']), max_size=9),
    data=st.data(),
)
def test_cards_are_found_whatever_lies_between_them(records: list[bytes], data: st.DataObject) -> None:
    """Where as many bytes are between them altogether, they may yet lie elsewhere."""
    gaps = data.draw(
        st.just([b", "] * len(records)) | st.lists(_GAPS, min_size=len(records), max_size=len(records))
    )
    before, after = data.draw(st.sampled_from([(b"", b""), (b" ", b""), (b"", b" "), (b"\n", b"\n")]))
    listed = b"".join(gap + record for gap, record in zip(gaps, records, strict=True))[
        len((gaps or [b""])[0]) :
    ]
    array = b"[%b%b%b]" % (before, listed, after)
    quick = quickly(b'{"cards":%b}' % array)
    assert quick is not None
    assert quick.cards == Texts.of(records)
    assert elements_of(before + array + after) == records


@pytest.mark.parametrize("rest", [b",", b"]", b"[]", b'"]"', b"1"])
def test_nothing_stands_behind_a_document(rest: bytes) -> None:
    with pytest.raises(MalformedBody):
        elements_of(b'[{"a":1}]' + rest)


_ARRAYS = st.lists(SCALARS | st.just(b'{"cards":[1]}'), max_size=3).map(
    lambda some: b"[%b]" % b",".join(some)
)
_MEMBERS = st.tuples(
    st.sampled_from([b'"cards"', b'"cards" ', b'"errors"', rb'"c\u0061rds"', b'"a"', b'"errors":[],"b"']),
    st.sampled_from([b":", b":\n "]),
    _ARRAYS
    | st.sampled_from(
        [
            b"null",
            rb'"\"cards\":["',
            b'"cards"',
            b'"]"',
            b'{"cards":[2]}',
            b'{"cards":[]}',
            b'[{"cards":[]}]',
            b"1",
        ]
    ),
).map(b"".join)


@settings(max_examples=1_000, deadline=None)
@given(members=st.lists(_MEMBERS, max_size=4), end=st.sampled_from([b"}", b"} ", b"]}", b""]))
def test_an_envelope_taken_apart_quickly_is_what_it_is_exactly(members: list[bytes], end: bytes) -> None:
    body = b"{" + b",".join(members) + end
    if (quick := quickly(body)) is not None:
        assert quick == parse_envelope(body)


def test_a_usual_envelope_is_taken_apart_quickly() -> None:
    for body in (
        b'{"cards":[{"a":[1]}]}',
        b' { "publish_ideas" : true , "cards" : [ {"a":1} , 2 ] , "dry_run":false }\n',
        b'{"errors":[{"index":1,"card":{"tags":["a"]}}]}',
        b'{"cards":[]}',
    ):
        assert quickly(body) == parse_envelope(body)
