"""A part's payload gives back what was put into it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.texts import Texts
from backend.formats.base import Batch
from backend.operations import parts

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@given(st.lists(st.binary(max_size=50), max_size=50), st.booleans())
def test_records_come_back_as_they_were(records: list[bytes], numbered: bool) -> None:
    rows = list(range(len(records))) if numbered else None
    assert parts.decode(parts.encode(Texts.of(records), rows=rows)) == (Texts.of(records), rows)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 3_000_000])
def test_records_larger_than_a_piece_do_too(size: int) -> None:
    records = [b"a" * size, b"", b"b" * 40_000, b"c" * size]
    assert parts.decode(parts.encode(Texts.of(records))) == (Texts.of(records), None)


@pytest.mark.parametrize("gap", [b",", b", "])
def test_records_are_taken_out_some_at_a_time_and_again(gap: bytes) -> None:
    records = [b"%d" % n * (n % 7 * 9_000) for n in range(50)]
    staged = parts.Payload(parts.encode(Texts(gap.join(records), list(map(len, records)), len(gap))))
    bounds = [(0, 1), (1, 20), (20, 21), (21, 50)]
    for _ in range(2):
        assert [staged.records(start, end).split() for start, end in bounds] == [
            records[start:end] for start, end in bounds
        ]
    assert [staged.record(index) for index in range(50)] == records


@pytest.mark.parametrize("gap", [b",", b", "])
def test_blocks_with_one_gap_are_one_payload(gap: bytes) -> None:
    one, two = [Texts(gap.join(some), list(map(len, some)), len(gap)) for some in ([b"1", b"{}"], [b"[2]"])]
    assert parts.decode(parts.encode(one, two, one)) == (Texts.of([b"1", b"{}", b"[2]", b"1", b"{}"]), None)
    with pytest.raises(ValueError, match="unpack"):
        parts.encode(one, Texts(b"", [0], len(gap) + 1))


def test_parts_that_the_first_versions_staged_are_read() -> None:
    """Their records lay back to back; the second word said no more than whether there were rows."""
    records = [b'{"a":1}', b"", b"[2]"]
    for rows in (None, [7, 8, 9]):
        words = [3, int(rows is not None), *map(len, records), *(rows or [])]
        payload = zstd.compress(b"".join([word.to_bytes(4, "little") for word in words] + records), 1)
        assert parts.decode(payload) == (Texts.of(records), rows)
        staged = parts.Payload(payload)
        assert [staged.records(0, 2).block(), staged.records(2, 3).block()] == [b'{"a":1},', b"[2]"]


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=12),
    st.integers(1, 8), st.integers(8, 30), st.integers(1, 6), st.integers(20, 400),
)  # fmt: skip
def test_a_stream_is_cut_as_if_it_came_record_by_record(
    batches: list[list[int]], smallest: int, largest: int, wanted: int, most: int
) -> None:
    sizes = parts.Sizes(smallest, largest, wanted, most)
    made = [[b"%d" % (number % 10) * size for number, size in enumerate(one)] for one in batches]
    rows = iter(range(1, 1_000))
    stream = [Batch(Texts.of(one), [next(rows) for _ in one]) for one in made]
    expected: list[list[bytes]] = [[]]
    staged = 0
    for record in [record for one in made for record in one]:
        expected[-1].append(record)
        staged += 1
        before = staged - len(expected[-1])
        if len(expected[-1]) >= sizes.growing(before) or sum(map(len, expected[-1])) >= most:
            expected.append([])
    cut = list(parts.cut_stream(stream, sizes))
    found = [parts.decode(part.payload or b"") for part in cut]
    assert [texts.split() for texts, _ in found] == [one for one in expected if one]
    assert [row for _, some in found for row in some or ()] == list(range(1, staged + 1))
    assert [(part.number, part.first_index) for part in cut] == [
        (number, sum(map(len, expected[:number]))) for number in range(len(cut))
    ]


def test_a_payload_that_ends_early_is_no_part() -> None:
    whole = parts.encode(Texts.of([bytes([n]) * 60_000 for n in range(100)]))
    with pytest.raises(EOFError):
        parts.decode(whole[: len(whole) // 2])


def test_parts_whose_records_are_looked_into_are_the_same() -> None:
    records = [b'{"n":%d}' % n for n in range(1_000)]
    sizes = parts.Sizes(smallest=10, largest=300, wanted=2, max_bytes=1_000_000)
    seen: list[bytes] = []
    checked = parts.cut(Texts.of(records), sizes, lambda some: seen.extend(some.split()))
    assert list(checked) == list(parts.cut(Texts.of(records), sizes))
    assert len(checked) == 4
    assert seen == records
    assert list(parts.cut(Texts.of([]), sizes, lambda some: seen.extend(some.split()))) == []


@pytest.mark.parametrize("bad", [0, 299, 300, 999])
def test_a_record_that_is_refused_ends_the_parts_before_the_last_is_through(bad: int) -> None:
    records = [b"%d" % n for n in range(1_000)]

    def check(some: Texts) -> None:
        if b"%d" % bad in some.split():
            raise LookupError

    with pytest.raises(LookupError):
        list(parts.cut(Texts.of(records), parts.Sizes(10, 300, 2, 1_000_000), check))
