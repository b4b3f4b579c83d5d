"""The zip writer: the standard library and unzip read what it writes, in flat memory at any size."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from backend.formats import write_zip
from backend.formats.write_zip import ZipWriter, pack

WHEN = datetime(2026, 11, 24, 13, 14, 16)  # noqa: DTZ001 - zip times have no zone


def archive(entries: list[tuple[str, bytes]], level: int = 1) -> bytes:
    writer = ZipWriter(WHEN)
    return b"".join(
        [writer.add(pack(entries[:3], level)), writer.add(pack(entries[3:], level)), *writer.end()]
    )


ENTRIES = [
    ("a.md", b"hello"),
    ("empty.md", b""),
    ("tombstones/b.md", b"x" * 100_000),
    ("é-漢字.md", random.Random(1).randbytes(70_000)),
]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_standard_library_reads_every_entry(level: int) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(ENTRIES, level))) as found:
        assert found.testzip() is None
        assert [(info.filename, found.read(info)) for info in found.infolist()] == ENTRIES
        first = found.infolist()[0]
        assert first.date_time == (2026, 11, 24, 13, 14, 16)
        assert first.external_attr >> 16 == 0o100644
        assert first.compress_type == (zipfile.ZIP_STORED if level == 0 else zipfile.ZIP_DEFLATED)


def test_an_archive_may_be_empty() -> None:
    with zipfile.ZipFile(io.BytesIO(archive([]))) as found:
        assert found.namelist() == []


@pytest.mark.skipif(shutil.which("unzip") is None, reason="no unzip program here")
def test_unzip_accepts_it(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(archive(ENTRIES))
    tested = subprocess.run(
        ["unzip", "-t", str(path)], capture_output=True, text=True, check=False, timeout=30
    )
    assert tested.returncode == 0, tested.stdout


def test_more_entries_than_16_bits_count() -> None:
    def batches() -> Iterator[list[tuple[str, bytes]]]:
        for start in range(0, 70_000, 1_000):
            yield [(f"{number}.md", b"%d" % number) for number in range(start, start + 1_000)]

    writer = ZipWriter(WHEN)
    data = b"".join([*(writer.add(pack(batch, 0)) for batch in batches()), *writer.end()])
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.infolist()) == 70_000
        assert found.read("69999.md") == b"69999"


def test_offsets_beyond_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code path as at 4 GiB, with the border moved down."""
    monkeypatch.setattr(write_zip, "_MOST32", 0x11223)
    entries = [(f"{number}.md", random.Random(number).randbytes(30_000)) for number in range(6)]
    data = archive(entries)
    # Readers know the border as 0xFFFFFFFF: put it where the marks are.
    mark, real = (0x11223).to_bytes(4, "little"), b"\xff" * 4
    start = data.index(b"PK\x01\x02")
    with zipfile.ZipFile(io.BytesIO(data[:start] + data[start:].replace(mark, real))) as found:
        assert [found.read(name) for name, _ in entries] == [content for _, content in entries]


def test_memory_does_not_grow_with_the_number_of_entries() -> None:
    def peak(count: int) -> int:
        writer = ZipWriter(WHEN)
        tracemalloc.start()
        for start in range(0, count, 500):
            numbers = range(start, start + 500)
            writer.add(pack(((f"some-longer-name-of-a-card-{number}.md", b"x") for number in numbers), 0))
        for _ in writer.end():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(60_000) < peak(5_000) + 2_000_000
