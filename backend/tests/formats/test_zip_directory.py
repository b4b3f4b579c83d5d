"""Counting a zip's entries without opening it."""

import io
import zipfile

import pytest

from backend.formats.zip_directory import has_more_entries_than


def archive(count: int, comment: bytes = b"", prefix: bytes = b"") -> io.BytesIO:
    out = io.BytesIO()
    out.write(prefix)
    with zipfile.ZipFile(out, "a" if prefix else "w") as target:
        for number in range(count):
            target.writestr(f"{number}.md", b"x")
        target.comment = comment
    return out


@pytest.mark.parametrize("count", [0, 1, 7, 300])
@pytest.mark.parametrize("comment", [b"", b"a comment" * 500])
@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\n"])
def test_the_entries_are_counted(count: int, comment: bytes, prefix: bytes) -> None:
    file = archive(count, comment, prefix)
    assert not has_more_entries_than(file, count)
    assert not has_more_entries_than(file, count + 1)
    if count:
        assert has_more_entries_than(file, count - 1)


def test_a_directory_of_64_bits_is_counted() -> None:
    file = archive(70_000)
    assert has_more_entries_than(file, 69_999)
    assert not has_more_entries_than(file, 70_000)


def test_an_announced_number_is_not_believed() -> None:
    data = bytearray(archive(50).getvalue())
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = b"\x01\x00\x01\x00"
    assert has_more_entries_than(io.BytesIO(data), 49)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\x05\x06",
        b"x" * 100_000,
        b"PK\x05\x06" + b"\xff" * 18,
        bytes(30) + b"PK\x05\x06" + b"\xff" * 18,
    ],
)
def test_what_is_no_zip_has_none(data: bytes) -> None:
    assert not has_more_entries_than(io.BytesIO(data), 10)
