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


class ZipWriter:
    """Makes one archive. Each method returns the next bytes of it.

    Args:
        modified: the time that every entry carries.
        level: of deflate; 0 stores (for an archive that is compressed as a whole).
    """

    def __init__(self, modified: datetime, *, level: int = 1) -> None:
        self._level = level
        self._time = modified.hour << 11 | modified.minute << 5 | modified.second // 2
        self._date = (max(modified.year, 1980) - 1980) << 9 | modified.month << 5 | modified.day
        self._offset = 0
        self._count = 0
        self._directory = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by end()

    def add(self, entries: Iterable[tuple[str, Buffer]]) -> bytes:
        """Entries (a relative path with ``/``, and the file's bytes, below 4 GiB) one after another."""
        out: list[Buffer] = []
        for name, data in entries:
            size = memoryview(data).nbytes
            if size >= _MOST32:
                raise ValueError("an entry is too large")
            out += self._entry(name.encode(), data, size)
        return b"".join(out)

    def _entry(self, name: bytes, data: Buffer, size: int) -> tuple[bytes, bytes, Buffer]:
        crc = zlib.crc32(data)
        method, packed = _STORED, data
        if self._level:
            deflater = zlib.compressobj(self._level, zlib.DEFLATED, -zlib.MAX_WBITS)
            method, packed = _DEFLATED, deflater.compress(data) + deflater.flush()
        length = memoryview(packed).nbytes
        flags = 0 if name.isascii() else _UTF8
        common = (flags, method, self._time, self._date, crc, length, size, len(name))
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, *common, 0)
        extra, offset, version = b"", self._offset, _VERSION
        if offset >= _MOST32:
            extra, offset, version = struct.pack("<HHQ", 1, 8, offset), _MOST32, _VERSION64
        self._directory.write(
            _CENTRAL.pack(
                b"PK\x01\x02",
                _MADE_BY_UNIX | version,
                version,
                *common,
                len(extra),
                0,
                0,
                0,
                _REGULAR_FILE,
                offset,
            )
            + name
            + extra
        )
        self._offset += len(local) + len(name) + length
        self._count += 1
        return local, name, packed

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
