"""Uploads opened: compressed content as one stream, damage and bombs told from it."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pytest

from backend.core.errors import MalformedBody, PayloadTooLarge, UnsupportedMedia
from backend.formats.base import MIB, Limits
from backend.formats.opening import decoded, is_zip, opened_zip

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = bytes(range(256)) * 4_000
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}  # without it zstd notices no changed byte
COMPRESS = {"gzip": gzip.compress, "zstd": lambda data: zstd.compress(data, options=CHECKED)}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(data)
    return path


def read(path: Path, encoding: str | None, limits: Limits | None = None) -> bytes:
    with decoded(path, encoding, limits or Limits()) as stream:
        return stream.read()


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_any_number_of_members_is_one_stream(encoding: str, tmp_path: Path) -> None:
    pack = COMPRESS[encoding]
    path = written(tmp_path, pack(TEXT) + pack(b"") + pack(b"end"))
    assert read(path, encoding) == TEXT + b"end"
    assert read(path, encoding.upper()) == TEXT + b"end"


@pytest.mark.parametrize("encoding", [None, "identity"])
def test_without_an_encoding_it_is_what_was_sent(encoding: str | None, tmp_path: Path) -> None:
    assert read(written(tmp_path, TEXT), encoding) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut off", "changed", "not at all"])
def test_damage_is_refused(encoding: str, damage: str, tmp_path: Path) -> None:
    data = bytearray(COMPRESS[encoding](b"random enough \x01\x02" + TEXT[:997]))
    if damage == "cut off":
        del data[-9:]
    elif damage == "changed":
        data[len(data) // 2 : len(data) // 2 + 6] = b"\xff\x00\xff\x00\xff\x00"
    else:
        data = bytearray(TEXT)
    with pytest.raises(MalformedBody):
        read(written(tmp_path, bytes(data)), encoding)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        read(written(tmp_path, b""), "br")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_ratio_counts_from_a_mebibyte_on_and_the_size_always(encoding: str, tmp_path: Path) -> None:
    small = written(tmp_path, COMPRESS[encoding](bytes(MIB)))
    assert len(read(small, encoding, Limits(max_ratio=2))) == MIB
    with pytest.raises(PayloadTooLarge):
        read(small, encoding, Limits(max_decoded_bytes=MIB - 1))
    with pytest.raises(PayloadTooLarge):
        read(written(tmp_path, COMPRESS[encoding](bytes(MIB + 1))), encoding, Limits(max_ratio=2))


def test_a_zip_inside_of_a_zip_pays_from_the_same_budget(tmp_path: Path) -> None:
    inner = archive({"a.md": TEXT})
    path = written(tmp_path, archive({"one.zip": inner, "two.zip": inner}, zipfile.ZIP_STORED))
    limits = Limits(max_decoded_bytes=2 * len(inner) + len(TEXT) + 10)
    with opened_zip(path, None, limits) as outer:
        with outer.open_part("one.zip") as part, part.open("a.md") as file:
            assert file.read() == TEXT
        with pytest.raises(PayloadTooLarge), outer.open_part("two.zip"):
            pass


def test_a_zip_that_was_compressed_once_more_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(archive({"a.md": b"x"})))
    assert is_zip(path, "gzip", Limits())
    with opened_zip(path, "gzip", Limits()) as opened, opened.open("a.md") as file:
        assert file.read() == b"x"


def test_an_entry_whose_bytes_do_not_fit_its_check_sum_is_refused(tmp_path: Path) -> None:
    data = archive({"a.md": b"content"}, zipfile.ZIP_STORED).replace(b"content", b"changed")
    path = written(tmp_path, data)
    with (
        opened_zip(path, None, Limits()) as opened,
        opened.open("a.md") as file,
        pytest.raises(MalformedBody),
    ):
        file.read()


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04broken", b"text"])
def test_what_is_no_zip_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedBody), opened_zip(written(tmp_path, data), None, Limits()):
        pass
