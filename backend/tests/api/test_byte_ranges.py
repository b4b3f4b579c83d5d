"""Conditional and range requests, as RFC 9110 has them."""

from __future__ import annotations

import pytest

from backend.api.byte_ranges import Unsatisfiable, not_modified, wanted

TAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes= 5-6", (5, 7)),
        (None, None),
        ("", None),
        ("items=0-5", None),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_range_is_a_part_or_the_whole(asked: str | None, expected: tuple[int, int] | None) -> None:
    part = wanted(100, TAG, asked, None)
    assert (None if part is None else (part.start, part.end)) == expected


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be_had(asked: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(100, TAG, asked, None)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(Unsatisfiable):
        wanted(0, TAG, "bytes=0-", None)


@pytest.mark.parametrize(
    ("condition", "partial"), [(TAG, True), ('W/"abc"', False), ('"other"', False), ("x", False)]
)
def test_if_range_wants_the_very_same_file(condition: str, partial: bool) -> None:
    assert (wanted(100, TAG, "bytes=0-1", condition) is not None) is partial


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        (TAG, True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ('"x"', False),
        ("*", True),
        ("", False),
    ],
)
def test_who_has_it_already_is_told_so(header: str | None, expected: bool) -> None:
    assert not_modified(TAG, header) is expected


def test_content_range_counts_from_zero_and_includes_the_last() -> None:
    part = wanted(100, TAG, "bytes=10-19", None)
    assert part is not None
    assert part.content_range == "bytes 10-19/100"
