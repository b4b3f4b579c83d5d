"""Conditional and range requests for one file (RFC 9110, sections 13 and 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to ``end`` (exclusive) of a file of ``size``."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


class Unsatisfiable(Exception):
    """The range begins behind the file's end (416)."""


def not_modified(etag: str, if_none_match: str | None) -> bool:
    """Whether the caller has the file already. Weak comparison, as the RFC says for If-None-Match."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def wanted(size: int, etag: str, range_: str | None, if_range: str | None) -> Part | None:
    """The part asked for; ``None`` for the whole file.

    What is no single byte range is answered with the whole file, which the RFC allows; so is an
    ``If-Range`` that is not this file's strong tag (dates are not compared).

    Raises:
        Unsatisfiable: no byte of it is there.
    """
    found = _RANGE.match(range_ or "")
    if found is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = found[1], found[2]
    if len(first) > 18 or len(last) > 18 or not (first or last):
        return None
    if not first:
        start, end = max(0, size - int(last)), size
        if int(last) == 0:
            raise Unsatisfiable
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise Unsatisfiable
    return Part(start, end, size)
