"""How many entries a zip's directory holds, counted before ``zipfile`` builds an object for each of them."""

from __future__ import annotations

import struct
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s24x3H12x")  # signature, then the lengths of name, extra field and comment
_LONGEST_COMMENT = 65_535


def has_more_entries_than(file: BinaryIO, most: int) -> bool:
    """Whether the directory lists more than ``most`` entries, whatever number it announces.

    Reads at most the end of the file and the directory up to that many entries; leaves the position
    anywhere. ``False`` for what is no zip: opening it says so.
    """
    found = _directory(file)
    if found is None:
        return False
    start, size = found
    if size <= most * _ENTRY.size or start < 0:
        return False
    file.seek(start)
    end = start + size
    count = 0
    while file.tell() + _ENTRY.size <= end:
        head = file.read(_ENTRY.size)
        if len(head) < _ENTRY.size or head[:4] != b"PK\x01\x02":
            return False
        count += 1
        if count > most:
            return True
        _, name, extra, comment = _ENTRY.unpack(head)
        file.seek(name + extra + comment, 1)
    return False


def _directory(file: BinaryIO) -> tuple[int, int] | None:
    """Where the directory begins and its size in bytes; it lies right before its end record."""
    length = file.seek(0, 2)
    tail_at = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return None
    size = _END.unpack_from(tail, at)[5]
    end_at = tail_at + at
    locator_at = end_at - _LOCATOR.size
    if locator_at >= 0:
        file.seek(locator_at)
        signature, _, end64_at, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if signature == b"PK\x06\x07":
            file.seek(min(end64_at, locator_at))
            record = file.read(_END64.size)
            if len(record) == _END64.size and record[:4] == b"PK\x06\x06":
                return end64_at - _END64.unpack(record)[8], _END64.unpack(record)[8]
    return end_at - size, size
