"""What writes compressed files: other programs read them, and errors pass."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator

import pytest

from backend.formats.write_compressed import compressed, pieces

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def chunks(count: int, size: int = 100_000) -> Iterator[bytes]:
    source = random.Random(count)
    for _ in range(count):
        yield source.randbytes(size // 2) + bytes(size - size // 2)


@pytest.mark.parametrize("count", [0, 1, 5, 6, 60])
def test_gzip_is_one_member_that_every_reader_reads(count: int) -> None:
    plain = b"".join(chunks(count))
    data = b"".join(compressed(chunks(count), "gzip"))
    assert gzip.decompress(data) == plain
    reader = zlib.decompressobj(31)
    assert reader.decompress(data) == plain
    assert reader.eof
    assert reader.unused_data == b""
    assert gzip.GzipFile(fileobj=io.BytesIO(data)).read() == plain


@pytest.mark.skipif(shutil.which("gzip") is None, reason="no gzip program here")
def test_the_gzip_program_accepts_it() -> None:
    data = b"".join(compressed(chunks(30), "gzip"))
    tested = subprocess.run(["gzip", "-t"], input=data, capture_output=True, check=False, timeout=30)
    assert (tested.returncode, tested.stderr) == (0, b"")


@pytest.mark.parametrize("count", [0, 1, 60])
def test_zstd_is_one_frame_with_a_checksum(count: int) -> None:
    data = b"".join(compressed(chunks(count), "zstd"))
    reader = zstd.ZstdDecompressor()
    assert reader.decompress(data) == b"".join(chunks(count))
    assert reader.eof
    assert reader.unused_data == b""
    assert data[4] & 4  # Frame_Header_Descriptor: Content_Checksum_flag


def test_equal_input_gives_equal_bytes() -> None:
    for name in ("gzip", "zstd"):
        assert b"".join(compressed(chunks(20), name)) == b"".join(compressed(chunks(20), name))


def test_it_does_compress() -> None:
    text = b"the same words again and again\n" * 100_000
    for name in ("gzip", "zstd"):
        assert len(b"".join(compressed([text] * 3, name))) < len(text) / 20


@pytest.mark.parametrize("name", [None, "gzip", "zstd"])
def test_an_error_of_the_source_passes_and_closing_closes_it(name: str | None) -> None:
    closed = []

    def source() -> Iterator[bytes]:
        try:
            yield from chunks(30)
            raise KeyError("boom")
        finally:
            closed.append(True)

    with pytest.raises(KeyError, match="boom"):
        list(compressed(source(), name))
    assert closed == [True]


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown compression"):
        compressed([], "brotli")


def test_pieces_lose_nothing() -> None:
    assert list(pieces([b"ab", b"", b"c", b"defg", b"h"], 3)) == [b"abc", b"defg", b"h"]
    assert list(pieces([], 3)) == []
