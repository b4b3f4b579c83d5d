"""Strict JSON: what the standard allows comes through, everything else is refused with its place."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import MalformedBody
from backend.core.texts import Texts
from backend.formats.envelope import parse_envelope
from backend.formats.json_scanner import MAX_DEPTH, Scanner
from backend.formats.strict_json import are_strict, elements_are_strict, read_value
from backend.tests.formats.json_cases import INVALID, VALID
from backend.tests.formats.json_ways import SCALARS, VALUES, exactly, quickly


@pytest.mark.parametrize("text", VALID, ids=repr)
def test_what_the_standard_allows_is_read_as_it_is(text: bytes) -> None:
    assert read_value(text) == json.loads(text)
    assert Scanner(text.decode()).value() == json.loads(text)


@pytest.mark.parametrize("text", INVALID, ids=lambda text: repr(text[:40]))
def test_what_it_forbids_is_refused_with_line_and_column(text: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        read_value(text)
    assert re.search(r" at line \d+ column \d+$", refused.value.detail)


@given(value=VALUES, indent=st.sampled_from([None, 1, "\t"]), ascii=st.booleans())
def test_the_scanner_and_the_fast_path_agree_with_python(value: Any, indent: Any, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    assert read_value(body) == json.loads(text)
    assert Scanner(text).value() == json.loads(text)


def test_the_place_is_counted_in_lines_and_characters() -> None:
    with pytest.raises(MalformedBody, match=r"at line 3 column 7$"):
        read_value('{\n"é": 1,\n"ü": [x]}'.encode())


def test_a_hostile_body_is_refused_quickly() -> None:
    began = time.monotonic()
    for body in (b"[" * 5_000_000, b'{"a":' * 1_000_000, b'["\\ud800"' + b" " * 5_000_000, b"9" * 1_000_000):
        with pytest.raises(MalformedBody):
            read_value(body)
    assert time.monotonic() - began < 10


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


def _objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.tuples(_NAMES, _SPACES, st.just(b":"), _SPACES, values).map(b"".join)
    return st.lists(members, max_size=4).map(lambda some: b"{" + b",".join(some) + b"}")


def _arrays(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    deep = st.sampled_from([1, 1, 2, 58, 60, 61, 62, 63, 64])
    some = st.lists(values, max_size=3).map(b",".join)
    return st.tuples(some, deep).map(lambda made: b"[" * made[1] + made[0] + b"]" * made[1])


_RECORDS = _objects(st.recursive(SCALARS, lambda inner: _objects(inner) | _arrays(inner), max_leaves=8))


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


@pytest.mark.parametrize("arrays", range(58, 68))
@pytest.mark.parametrize("around", [b"%b", b'{"a":%b}', b'{"metadata":{"a":%b}}', b'{"a":{"a":{"a":%b}}}'])
def test_how_deep_is_too_deep_is_the_same_both_ways(around: bytes, arrays: int) -> None:
    record = around % (b"[" * arrays + b"{}" + b"]" * arrays)
    assert are_strict(Texts.of([b'{"a":[1]}', record])) == exactly(record)
    assert elements_are_strict(Texts.of([b'{"a":[1]}', record]), MAX_DEPTH) == exactly(record)
    body = b'{"cards":[%b]}' % record
    assert (quickly(body) is not None) == exactly(body)
