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
from backend.core.texts import Texts
from backend.formats.envelope import Envelope, elements_of, look_into, parse_envelope, quick_envelope
from backend.formats.json_scanner import MAX_DEPTH, Scanner
from backend.formats.strict_json import Unsure, are_strict, elements_are_strict, read_value
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


def test_the_place_is_counted_in_lines_and_characters() -> None:
    with pytest.raises(MalformedBody, match=r"at line 3 column 7$"):
        read_value('{\n"é": 1,\n"ü": [x]}'.encode())


def test_a_hostile_body_is_refused_quickly() -> None:
    began = time.monotonic()
    for body in (b"[" * 5_000_000, b'{"a":' * 1_000_000, b'["\\ud800"' + b" " * 5_000_000, b"9" * 1_000_000):
        with pytest.raises(MalformedBody):
            read_value(body)
    assert time.monotonic() - began < 10


def test_a_large_body_in_any_script_goes_the_quick_way() -> None:
    for body in ("plain words, ", "漢字かな", "مرحبا بالعالم ", "1234567890 ", "deux points : deux "):
        card = json.dumps({"title": "t", "body": body * 20_000}, ensure_ascii=False).encode()
        assert quick_envelope(b'{"cards":[' + card + b"]}").cards == Texts.of([card])
        look_into(Texts.of([card]))


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
def test_what_the_standard_forbids_is_not_strict_among_others_either(text: bytes) -> None:
    assert not are_strict(Texts.of([b'{"a":1}', text, b"[]"]))
    for card in (text, b'{"a":%b}' % text, b'{"metadata":%b,"a":1}' % text):
        assert quickly(b'{"cards":[{"a":1},%b]}' % card) is None


@pytest.mark.parametrize(
    "lines", [[b'{"a":1},{"b":[1', b"2]}"], [b'{"a":{}},{"b":[{}', b"{}]}"], [b'{"a":1}', b'2},{"b":1}']]
)
def test_lines_that_are_as_many_values_together_are_none_for_themselves(lines: list[bytes]) -> None:
    assert not are_strict(Texts.of(lines))


_DOUBLED = (
    rb'{"a":1,"a":2}', rb'{"a" :1,"a" :2}', rb'{"a":1,"a" :2}', rb'{"a" :1,"a" :2,"b":"\":"}',
    rb'{"m":{"a":1,"a":2}}', rb'{"a":1,"\u0061":2}', rb'{"m":[{"a":1,"a":2}]}', rb'{"a":1,"a":2,"t":"\":"}',
    rb'{"a":1,"a":2,"t":"\u0022:"}', rb'{"metadata":{"a":1,"a":2}}', rb'{"metadata":{"a":1,"\u0061":2}}',
    rb'{"metadata":1,"metadata":{"a":1}}', rb'{"metadata":{"a":1},"metadata":null}',
    rb'{"metadata":[{"a":1,"a":2}]}', rb'{"metadata":{"a":{"b":1,"b":2}}}', rb'{"t":"}","a":{"b":1,"b":2}}',
    rb'{"a":1,"a":123456789012345678901}',
    rb'{"":1,"":2}', rb'{"a\u0000":1,"a\u0000":2}',
)  # fmt: skip


@pytest.mark.parametrize("text", _DOUBLED)
def test_a_name_that_occurs_twice_is_found_however_it_is_hidden(text: bytes) -> None:
    for others in ([b'{"a":{"b":1}}'], [b'{"a":1}'], [b'{"metadata":{"b":1}}'], [text], []):
        assert not are_strict(Texts.of([*others, text]))
        assert not elements_are_strict(Texts.of([*others, text]), MAX_DEPTH)
    with pytest.raises(MalformedBody, match="a name occurs twice"):
        parse_envelope(b'{"cards":[{"a":{"b":1}},' + text + b"]}")


def test_usual_records_are_strict_with_code_in_their_texts_too() -> None:
    plain = json.dumps({"title": "t", "tags": ["a", "b"], "metadata": {"a": 1}}).encode()
    nested = json.dumps({"metadata": {"a": [{"b": {"c": 1}}]}}).encode()
    quoting = json.dumps({"body": '{"a":1,"a":2}'}).encode()
    large = json.dumps({"metadata": {"a": 123456789012345678901, "b": {}}}).encode()
    for records in ([plain], [plain, nested], [plain, quoting, nested], [plain] * 100 + [large, quoting], []):
        assert are_strict(Texts.of(records))
        assert elements_are_strict(Texts.of(records), MAX_DEPTH)


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
    assert not (are_strict(Texts.of(records)) and refused)
    assert not (elements_are_strict(Texts.of(records), MAX_DEPTH) and refused)
    body = b'{"cards":[' + b",".join(records) + b"]}"
    if (quick := quickly(body)) is not None:
        assert exactly(body)
        assert quick == parse_envelope(body)
        assert quick.cards == Texts.of(records)


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


_ARRAYS = st.lists(_SCALARS | st.just(b'{"cards":[1]}'), max_size=3).map(
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


def quickly(body: bytes) -> Envelope | None:
    """What the quick way says, its cards looked into; ``None`` where it does not know."""
    try:
        envelope = quick_envelope(body)
        look_into(envelope.cards or Texts.of([]))
    except Unsure:
        return None
    return envelope


@pytest.mark.parametrize("arrays", range(58, 68))
@pytest.mark.parametrize("around", [b"%b", b'{"a":%b}', b'{"metadata":{"a":%b}}', b'{"a":{"a":{"a":%b}}}'])
def test_how_deep_is_too_deep_is_the_same_both_ways(around: bytes, arrays: int) -> None:
    record = around % (b"[" * arrays + b"{}" + b"]" * arrays)
    assert are_strict(Texts.of([b'{"a":[1]}', record])) == exactly(record)
    assert elements_are_strict(Texts.of([b'{"a":[1]}', record]), MAX_DEPTH) == exactly(record)
    body = b'{"cards":[%b]}' % record
    assert (quickly(body) is not None) == exactly(body)


def exactly(text: bytes) -> bool:
    """Whether the exact way finds nothing wrong."""
    try:
        read_value(text)
    except MalformedBody:
        return False
    return True
