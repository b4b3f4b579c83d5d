"""A zip archive written front to back, in flat memory whatever the number of its entries.

The standard library's ``zipfile`` keeps an object per entry until the end (hundreds of bytes each, more than
the entry itself for small cards); here the central directory waits in a temporary file. Every size is known
when an entry is written, so no data descriptors are needed. Zip64 records (APPNOTE 4.5) are written only
where an offset or a count asks for them.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_VERSION, _VERSION64 = 20, 45
_MADE_BY_UNIX = 3 << 8
_REGULAR_FILE = 0o100644 << 16
_UTF8 = 0x800
_STORED, _DEFLATED = 0, 8
_MOST32, _MOST16 = 0xFFFFFFFF, 0xFFFF
_IN_MEMORY = 1024 * 1024
_READ = 256 * 1024

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Packed:
    """One entry, ready to be written."""

    name: bytes
    crc: int
    size: int
    method: int
    data: Buffer


def pack(entries: Iterable[tuple[str, Buffer]], level: int = 1) -> list[Packed]:
    """Compress entries: a relative path with ``/``, and the file's bytes. Any number of threads may at once.

    Args:
        level: of deflate; 0 stores (for an archive that is compressed as a whole).

    Raises:
        ValueError: an entry of 4 GiB or more.
    """
    return [_packed(name.encode(), data, level) for name, data in entries]


def _packed(name: bytes, data: Buffer, level: int) -> Packed:
    size = len(data)
    if size >= _MOST32:
        raise ValueError("an entry is too large")
    if not level:
        return Packed(name, zlib.crc32(data), size, _STORED, data)
    # Most of a small entry's time is the making of deflate's tables: they need not be larger than it is.
    window, memory = (12, 6) if size <= 4096 else (15, 8)
    deflater = zlib.compressobj(level, zlib.DEFLATED, -window, memory)
    return Packed(name, zlib.crc32(data), size, _DEFLATED, deflater.compress(data) + deflater.flush())


class ZipWriter:
    """Makes one archive. Each method returns the next bytes of it.

    Args:
        modified: the time that every entry carries.
    """

    def __init__(self, modified: datetime) -> None:
        self._time = modified.hour << 11 | modified.minute << 5 | modified.second // 2
        self._date = (max(modified.year, 1980) - 1980) << 9 | modified.month << 5 | modified.day
        self._offset = 0
        self._count = 0
        self._directory = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by end()

    def add(self, entries: Iterable[Packed]) -> bytes:
        """Entries one after another."""
        out: list[Buffer] = []
        for entry in entries:
            out += self._entry(entry)
        return b"".join(out)

    def _entry(self, entry: Packed) -> tuple[bytes, bytes, Buffer]:
        name, length = entry.name, len(entry.data)
        flags = 0 if name.isascii() else _UTF8
        moment = (self._time, self._date)
        common = (flags, entry.method, *moment, entry.crc, length, entry.size, len(name))
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, *common, 0)
        extra, offset, version = b"", self._offset, _VERSION
        if offset >= _MOST32:
            extra, offset, version = struct.pack("<HHQ", 1, 8, offset), _MOST32, _VERSION64
        made_by = _MADE_BY_UNIX | version
        tail = (len(extra), 0, 0, 0, _REGULAR_FILE, offset)
        central = _CENTRAL.pack(b"PK\x01\x02", made_by, version, *common, *tail)
        self._directory.write(b"".join((central, name, extra)))
        self._offset += len(local) + len(name) + length
        self._count += 1
        return local, name, entry.data

    def end(self) -> Iterator[bytes]:
        """The central directory; the archive is whole after it."""
        with self._directory as directory:
            size = directory.tell()
            directory.seek(0)
            while data := directory.read(_READ):
                yield data
        start = self._offset
        if self._count >= _MOST16 or start >= _MOST32 or size >= _MOST32:
            yield _END64.pack(
                b"PK\x06\x06", _END64.size - 12, _MADE_BY_UNIX | _VERSION64, _VERSION64, 0, 0,
                self._count, self._count, size, start,
            ) + _LOCATOR64.pack(b"PK\x06\x07", 0, start + size, 1)  # fmt: skip
        count = min(self._count, _MOST16)
        yield _END.pack(b"PK\x05\x06", 0, 0, count, count, min(size, _MOST32), min(start, _MOST32), 0)
