"""Strict JSON: what the standard allows comes through, everything else is refused with its place."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import MalformedBody, ValidationFailed
from backend.formats import strict_json
from backend.formats.json_scanner import Scanner
from backend.formats.strict_json import are_strict, parse_envelope, read_value
from backend.tests.formats.json_cases import INVALID, VALID

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize("text", VALID, ids=repr)
def test_what_the_standard_allows_is_read_as_it_is(text: bytes) -> None:
    assert read_value(text) == json.loads(text)
    assert Scanner(text.decode()).value() == json.loads(text)


@pytest.mark.parametrize("text", INVALID, ids=lambda text: repr(text[:40]))
def test_what_it_forbids_is_refused_with_line_and_column(text: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        read_value(text)
    assert re.search(r" at line \d+ column \d+$", refused.value.detail)


@given(value=values, indent=st.sampled_from([None, 1, "\t"]), ascii=st.booleans())
def test_the_scanner_and_the_fast_path_agree_with_python(value: Any, indent: Any, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    assert read_value(body) == json.loads(text)
    assert Scanner(text).value() == json.loads(text)


@given(cards=st.lists(values, max_size=5), surrogate=st.booleans())
def test_an_envelope_gives_back_each_card_as_it_was_sent(cards: list[Any], surrogate: bool) -> None:
    sent = [json.dumps(card) for card in cards] + (['"\\ud800 "'] if surrogate else [])
    body = ('{"a": 1, "cards" : [ ' + " ,\n".join(sent) + ' ], "b": {"cards": [7]}}').encode()
    envelope = parse_envelope(body)
    assert envelope.cards == [one.encode() for one in sent]
    assert envelope.fields == {"a": 1, "b": {"cards": [7]}}


def test_an_errors_file_is_an_envelope_too() -> None:
    assert parse_envelope(b'{"errors": [{"index": 1}]}').cards == [b'{"index": 1}']
    assert parse_envelope(b'{"errors": [], "cards": [2]}').cards == [b"2"]


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object_is_well_formed_and_invalid(body: bytes) -> None:
    with pytest.raises(ValidationFailed):
        parse_envelope(body)


def test_the_place_is_counted_in_lines_and_characters() -> None:
    with pytest.raises(MalformedBody, match=r"at line 3 column 7$"):
        read_value('{\n"é": 1,\n"ü": [x]}'.encode())


def test_a_hostile_body_is_refused_quickly() -> None:
    began = time.monotonic()
    for body in (b"[" * 5_000_000, b'{"a":' * 1_000_000, b'["\\ud800"' + b" " * 5_000_000, b"9" * 1_000_000):
        with pytest.raises(MalformedBody):
            read_value(body)
    assert time.monotonic() - began < 10


PIECES = (
    b'"a":1', b'"a" :1', b'"a"\n\t :1', rb"\u0022", rb"\u003a", rb"\u003A", b"abc,def", "漢字".encode(),
    b"0" * 50, b'"', b" ", rb"\"", b'{"x":[1,2]}', b". aA",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_a_text_seen_in_pieces_shows_what_it_shows_as_a_whole(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_WINDOW", 20)
        try:
            seen = list(strict_json._windows(text))
        except strict_json._Suspicious:
            return  # nowhere to cut: the exact way looks at it
    assert b"".join(seen) == text
    assert marks(*seen) == marks(text)


def marks(*texts: bytes) -> int | None:
    """How many members they show, or ``None`` where some may be hidden."""
    try:
        return sum(map(strict_json._marked, texts))
    except strict_json._Suspicious:
        return None


def test_a_large_body_in_any_script_goes_the_quick_way() -> None:
    for body in ("plain words, ", "漢字かな", "مرحبا بالعالم ", "1234567890 "):
        card = json.dumps({"title": "t", "body": body * 20_000}, ensure_ascii=False).encode()
        assert strict_json._quick_envelope(b'{"cards":[' + card + b"]}", "cards").cards == [card]


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
def test_what_the_standard_forbids_is_not_strict_among_others_either(text: bytes) -> None:
    assert not are_strict([b'{"a":1}', text, b"[]"])


_DOUBLED = (
    rb'{"a":1,"a":2}', rb'{"a" :1,"a" :2}', rb'{"a":1,"a" :2}', rb'{"a" :1,"a" :2,"b":"\":"}',
    rb'{"m":{"a":1,"a":2}}', rb'{"a":1,"\u0061":2}', rb'{"m":[{"a":1,"a":2}]}', rb'{"a":1,"a":2,"t":"\":"}',
    rb'{"a":1,"a":2,"t":"\u0022:"}',
)  # fmt: skip


@pytest.mark.parametrize("text", _DOUBLED)
def test_a_name_that_occurs_twice_is_found_however_it_is_hidden(text: bytes) -> None:
    assert not are_strict([b'{"a":{"b":1}}', text])
    with pytest.raises(MalformedBody, match="a name occurs twice"):
        parse_envelope(b'{"cards":[{"a":{"b":1}},' + text + b"]}")


def test_usual_records_are_strict_with_code_in_their_texts_too() -> None:
    plain = json.dumps({"title": "t", "tags": ["a", "b"], "metadata": {"a": 1}}).encode()
    nested = json.dumps({"metadata": {"a": [{"b": {"c": 1}}]}}).encode()
    quoting = json.dumps({"body": '{"a":1,"a":2}'}).encode()
    for records in ([plain], [plain, nested], [plain, quoting, nested], []):
        assert are_strict(records)


def test_elements_are_told_apart_before_they_are_checked() -> None:
    seen: list[list[bytes]] = []
    found = parse_envelope(b'{"cards":[{"a":1}, 2]}', told_apart=seen.append)
    assert seen == [[b'{"a":1}', b"2"]]
    assert found.cards is seen[0]
    with pytest.raises(MalformedBody, match="a name occurs twice"):
        parse_envelope(b'{"cards":[{"a":1,"a":2}]}', told_apart=seen.append)
    assert seen[1:] == [[b'{"a":1,"a":2}']]


_NAMES = st.sampled_from(
    [rb'"a"', rb'"metadata"', rb'"\u0061"', rb'"a\":"', rb'"a\u0022:"', rb'"a\u003a"', rb'"cards"', b'""']
)
_SPACES = st.sampled_from([b"", b"", b"", b" ", b"\n\t "])
_SCALARS = st.sampled_from(
    [b"1", b"null", b"1e999", rb'"\":"', rb'" :"', rb'"\u0022:"', rb'"\ud800"', b'"[["']
)


def _objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.tuples(_NAMES, _SPACES, st.just(b":"), _SPACES, values).map(b"".join)
    return st.lists(members, max_size=4).map(lambda some: b"{" + b",".join(some) + b"}")


def _arrays(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    deep = st.sampled_from([1, 1, 2, 58, 60, 61, 62, 63, 64])
    some = st.lists(values, max_size=3).map(b",".join)
    return st.tuples(some, deep).map(lambda made: b"[" * made[1] + made[0] + b"]" * made[1])


_RECORDS = _objects(st.recursive(_SCALARS, lambda inner: _objects(inner) | _arrays(inner), max_leaves=8))


@settings(max_examples=400, deadline=None)
@given(records=st.lists(_RECORDS, min_size=1, max_size=20))
def test_what_is_quickly_found_good_is_good_exactly(records: list[bytes]) -> None:
    refused = [record for record in records if not exactly(record)]
    assert not (are_strict(records) and refused)
    body = b'{"cards":[' + b",".join(records) + b"]}"
    try:
        quick = strict_json._quick_envelope(body, "cards")
    except (strict_json._Suspicious, ValueError, RecursionError):
        return
    assert exactly(body)
    assert quick.cards == parse_envelope(body).cards == records


@pytest.mark.parametrize("arrays", range(58, 68))
@pytest.mark.parametrize("around", [b"%b", b'{"a":%b}', b'{"metadata":{"a":%b}}', b'{"a":{"a":{"a":%b}}}'])
def test_how_deep_is_too_deep_is_the_same_both_ways(around: bytes, arrays: int) -> None:
    record = around % (b"[" * arrays + b"{}" + b"]" * arrays)
    assert are_strict([b'{"a":[1]}', record]) == exactly(record)
    body = b'{"cards":[%b]}' % record
    try:
        assert parse_envelope(body).cards == [record]
    except MalformedBody:
        assert not exactly(body)
    else:
        assert exactly(body)


def exactly(text: bytes) -> bool:
    """Whether the exact way finds nothing wrong."""
    try:
        read_value(text)
    except MalformedBody:
        return False
    return True
