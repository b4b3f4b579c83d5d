"""A part's payload gives back what was put into it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.operations import parts


@given(st.lists(st.binary(max_size=50), max_size=50), st.booleans())
def test_records_come_back_as_they_were(records: list[bytes], numbered: bool) -> None:
    rows = list(range(len(records))) if numbered else None
    assert parts.decode(parts.encode(records, rows)) == (records, rows)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 3_000_000])
def test_records_larger_than_a_piece_do_too(size: int) -> None:
    records = [b"a" * size, b"", b"b" * 40_000, b"c" * size]
    assert parts.decode(parts.encode(records)) == (records, None)


def test_a_payload_that_ends_early_is_no_part() -> None:
    whole = parts.encode([bytes([n]) * 60_000 for n in range(100)])
    with pytest.raises(EOFError):
        parts.decode(whole[: len(whole) // 2])


def test_parts_whose_records_are_looked_into_are_the_same() -> None:
    records = [b'{"n":%d}' % n for n in range(1_000)]
    sizes = parts.Sizes(smallest=10, largest=300, wanted=2, max_bytes=1_000_000)
    seen: list[bytes] = []
    checked = parts.cut(records, sizes, seen.extend)
    assert list(checked) == list(parts.cut(records, sizes))
    assert len(checked) == 4
    assert seen == records
    assert list(parts.cut([], sizes, seen.extend)) == []


@pytest.mark.parametrize("bad", [0, 299, 300, 999])
def test_a_record_that_is_refused_ends_the_parts_before_the_last_is_through(bad: int) -> None:
    records = [b"%d" % n for n in range(1_000)]

    def check(some: Sequence[bytes]) -> None:
        if b"%d" % bad in some:
            raise LookupError

    with pytest.raises(LookupError):
        list(parts.cut(records, parts.Sizes(10, 300, 2, 1_000_000), check))
