"""Opening what was uploaded: decompressed under caps, and zips whose names and sizes are checked first."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from backend.core.errors import MalformedBody, PayloadTooLarge, UnsupportedMedia
from backend.formats.base import MIB, Limits
from backend.formats.zip_directory import has_more_entries_than

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BROKEN = (gzip.BadGzipFile, zlib.error, zstd.ZstdError, zipfile.BadZipFile, EOFError)


class Budget:
    """The bytes that one upload may still unfold into, shared by everything that is read out of it."""

    def __init__(self, limits: Limits, sent: int) -> None:
        self._most = min(limits.max_decoded_bytes, max(MIB, sent * limits.max_ratio))
        self._used = 0

    def spend(self, size: int) -> None:
        """Raises PayloadTooLarge when the upload unfolds into more than its size allows."""
        self._used += size
        self.check(0)

    def check(self, size: int) -> None:
        """The same for bytes that are only announced."""
        if self._used + size > self._most:
            raise PayloadTooLarge("The file unfolds into more data than is allowed")


class _Capped(io.RawIOBase):
    """A stream that pays for what is read from it and turns a decoder's error into a clear one."""

    def __init__(self, source: BinaryIO, budget: Budget) -> None:
        self._source = source
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._source.read(len(view))
        except _BROKEN:
            raise MalformedBody("The compressed data is damaged") from None
        self._budget.spend(len(data))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


@contextmanager
def decoded(path: Path, encoding: str | None, limits: Limits) -> Iterator[BinaryIO]:
    """The upload's content, as a buffered stream.

    Args:
        path: the file as it was sent.
        encoding: its Content-Encoding: ``gzip``, ``zstd``, ``identity`` or ``None``.
        limits: caps on what it may unfold into.

    Raises:
        UnsupportedMedia: another encoding. PayloadTooLarge and MalformedBody: while it is read.
    """
    coding = (encoding or "identity").lower()
    if coding == "identity":
        with path.open("rb") as plain:
            yield plain
        return
    if coding in {"gzip", "x-gzip"}:
        source = cast(BinaryIO, gzip.open(path, "rb"))  # noqa: SIM115 - closed by the stream around it
    elif coding == "zstd":
        source = cast(BinaryIO, zstd.open(path, "rb"))
    else:
        raise UnsupportedMedia("Content-Encoding must be one of: gzip, zstd")
    with io.BufferedReader(_Capped(source, Budget(limits, path.stat().st_size))) as stream:
        yield stream


class CheckedZip:
    """A zip whose entries were checked by name, kind and announced size; what is read is capped as well.

    Folders and links are left out. Raises MalformedBody for what is no zip, for encryption and for names
    that lead out of the archive; PayloadTooLarge for too many or too large entries.
    """

    def __init__(self, file: BinaryIO, limits: Limits, budget: Budget) -> None:
        self._budget = budget
        self.limits = limits
        if has_more_entries_than(file, limits.max_entries):
            raise PayloadTooLarge(f"The archive has more than {limits.max_entries} files")
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError, OSError):
            raise MalformedBody("The file is not a zip archive, or it is damaged") from None
        entries = self._zip.infolist()
        budget.check(sum(entry.file_size for entry in entries))
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = _checked_name(entry)
            if not name.endswith("/") and not stat.S_ISLNK(entry.external_attr >> 16):
                self._entries.setdefault(name, entry)

    def names(self) -> list[str]:
        """The files in it, in the archive's order."""
        return list(self._entries)

    def open(self, name: str) -> BinaryIO:
        """One file as a buffered stream."""
        try:
            source = cast(BinaryIO, self._zip.open(self._entries[name]))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            raise MalformedBody("A file in the archive cannot be read") from None
        return io.BufferedReader(_Capped(source, self._budget))

    @contextmanager
    def open_part(self, name: str) -> Iterator[CheckedZip]:
        """A zip inside of this one, under the same budget, by way of a temporary file."""
        with tempfile.TemporaryFile() as copy:
            with self.open(name) as source:
                shutil.copyfileobj(source, copy, MIB)
            yield CheckedZip(cast(BinaryIO, copy), self.limits, self._budget)


@contextmanager
def opened_zip(path: Path, encoding: str | None, limits: Limits) -> Iterator[CheckedZip]:
    """The uploaded archive. One that was compressed once more is written to a temporary file first."""
    budget = Budget(limits, path.stat().st_size)
    with decoded(path, encoding, limits) as stream:
        if encoding is None or encoding.lower() == "identity":
            yield CheckedZip(stream, limits, budget)
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy, MIB)
            yield CheckedZip(cast(BinaryIO, copy), limits, budget)


def is_zip(path: Path, encoding: str | None, limits: Limits) -> bool:
    """Whether the content begins as a zip does: some presets take one file or an archive of many."""
    with decoded(path, encoding, limits) as stream:
        return stream.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def _checked_name(entry: zipfile.ZipInfo) -> str:
    """The entry's path with ``/``, also where the archiver wrote ``\\``."""
    name = entry.filename.replace("\\", "/")
    if entry.flag_bits & 0x1:
        raise MalformedBody("The archive is encrypted")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        raise MalformedBody("The archive has a file name that leads out of it")
    return name
