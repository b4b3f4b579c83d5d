"""Pure: cut a stream of records into parts; encode and decode a part's payload.

A payload is zstd over a small header and the records back to back:
``count: u32 | has_rows: u32 | lengths: u32[count] | rows: u32[count] if has_rows | records``,
little-endian. Records are framed by length, not by a separator, because a record is whatever JSON the
caller sent, white space and lone surrogate escapes included.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1  # 3 : 1 on cards; higher levels cost more than they save
_PIECE_BYTES = 64 * 1024
_AHEAD = 2
_encoders = ThreadPoolExecutor(
    _AHEAD, thread_name_prefix="encode"
)  # its threads are begun when there is work


class RecordLike(Protocol):
    """A record of any reader: JSON bytes and, for files, the row it came from."""

    @property
    def raw(self) -> bytes: ...
    @property
    def row(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One part to stage: ``records`` from index ``first_index`` on."""

    number: int
    first_index: int
    item_count: int
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """The settings that decide where parts are cut."""

    smallest: int
    largest: int
    wanted: int
    max_bytes: int

    def even(self, total: int) -> int:
        """Items per part where the total is known: at least ``wanted`` parts where there is enough to cut."""
        return max(self.smallest, min(self.largest, -(-total // self.wanted)))

    def growing(self, staged: int) -> int:
        """Items of the next part of a stream: grows with what has been staged already."""
        return max(self.smallest, min(self.largest, staged // self.wanted))


class Cut:
    """Records cut into even parts. Where is known at once; each part is encoded when it is asked for.

    With a ``check``, which is called with the records of each part and raises before the last one is through,
    a part is encoded in a thread meanwhile: zstd lets go of Python's lock, so that it costs no time.
    """

    def __init__(
        self, records: list[bytes], sizes: Sizes, check: Callable[[Sequence[bytes]], None] | None = None
    ) -> None:
        self.item_count = len(records)
        self._records, self._check = records, check
        self._bounds = list(_bounds(records, sizes))

    def __len__(self) -> int:
        """Number of parts."""
        return len(self._bounds)

    def __iter__(self) -> Iterator[Part]:
        cut = (self._records[start:end] for start, end in self._bounds)
        encoded = map(encode, cut) if self._check is None else self._checked(self._check, list(cut))
        for number, ((start, end), payload) in enumerate(zip(self._bounds, encoded, strict=True)):
            yield Part(number, start, end - start, payload)

    def _checked(
        self, check: Callable[[Sequence[bytes]], None], cut: Sequence[list[bytes]]
    ) -> Iterator[bytes]:
        """The last part is looked into after it was given out: PostgreSQL has its hands full with it then."""
        if not cut:
            return
        payload = _encoders.submit(encode, cut[0])
        for records, following in pairwise(cut):
            after = _encoders.submit(encode, following)
            check(records)
            yield payload.result()
            payload = after
        yield payload.result()
        check(cut[-1])


def cut(records: list[bytes], sizes: Sizes, check: Callable[[Sequence[bytes]], None] | None = None) -> Cut:
    """Cut a list of known length into even parts."""
    return Cut(records, sizes, check)


def _bounds(records: list[bytes], sizes: Sizes) -> Iterator[tuple[int, int]]:
    size = sizes.even(len(records))
    weights = list(accumulate(map(len, records), initial=0))
    start = 0
    while start < len(records):
        heavy = bisect_left(weights, weights[start] + sizes.max_bytes)
        end = min(len(records), start + size, heavy)
        yield start, end
        start = end


def cut_stream(records: Iterable[RecordLike], sizes: Sizes) -> Iterator[Part]:
    """Cut a stream of unknown length into growing parts.

    Three parts are in memory at a time: two are encoded in threads while the next one is read.
    """
    raws: list[bytes] = []
    rows: list[int] = []
    number = first = weight = 0
    begun: deque[_Begun] = deque()
    wanted, most = sizes.growing(first), sizes.max_bytes
    for record in records:
        raw = record.raw
        raws.append(raw)
        rows.append(record.row or 0)
        weight += len(raw)
        if len(raws) >= wanted or weight >= most:
            if len(begun) == _AHEAD:
                yield begun.popleft().part()
            begun.append(_Begun(number, first, len(raws), _encoders.submit(encode, raws, rows)))
            number, first, weight = number + 1, first + len(raws), 0
            raws, rows = [], []
            wanted = sizes.growing(first)
    yield from (one.part() for one in begun)
    if raws:
        yield Part(number, first, len(raws), encode(raws, rows))


@dataclass(frozen=True, slots=True)
class _Begun:
    number: int
    first_index: int
    item_count: int
    payload: Future[bytes]

    def part(self) -> Part:
        return Part(self.number, self.first_index, self.item_count, self.payload.result())


def cut_range(total: int, sizes: Sizes) -> Iterator[Part]:
    """Parts without a payload, for work on a range of card ids."""
    size = sizes.even(total)
    for number, first in enumerate(range(0, total, size)):
        yield Part(number, first, min(size, total - first), None)


def encode(records: list[bytes], rows: list[int] | None = None) -> bytes:
    """Records (and their row numbers) as one payload."""
    head = _words([len(records), int(rows is not None)])
    lengths = _words(list(map(len, records)))
    return zstd.compress(b"".join((head, lengths, _words(rows or []), *records)), LEVEL)


class Payload:
    """What ``encode`` was given, unpacked as far as it was asked for.

    Attributes:
        lengths: bytes of each record.
        rows: the row number of each record, where there are any.
        records: those unpacked so far.
    """

    def __init__(self, payload: bytes) -> None:
        self._data = _Unpacked(payload)
        count, has_rows = _numbers(self._data.take(8))
        self.lengths = _numbers(self._data.take(4 * count))
        self.rows = _numbers(self._data.take(4 * count)) if has_rows else None
        self.records: list[bytes] = []

    def upto(self, end: int) -> list[bytes]:
        """``records``, the first ``end`` at least among them.

        Raises:
            EOFError: the payload ends early.
        """
        self.records += self._data.cut(self.lengths[len(self.records) : end])
        return self.records


def decode(payload: bytes) -> tuple[list[bytes], list[int] | None]:
    """What ``encode`` was given, all of it."""
    staged = Payload(payload)
    return staged.upto(len(staged.lengths)), staged.rows


class _Unpacked:
    """A payload, unpacked while it is read: one large block would be memory asked of the system each time."""

    def __init__(self, payload: bytes) -> None:
        self._stream = zstd.ZstdDecompressor()
        self._data = self._stream.decompress(payload, _PIECE_BYTES)
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes, exactly so many.

        Raises:
            EOFError: there are fewer.
        """
        return self.cut((size,))[0]

    def cut(self, sizes: Iterable[int]) -> list[bytes]:
        """The next bytes, cut into pieces of exactly these sizes.

        Raises:
            EOFError: there are fewer.
        """
        pieces = []
        for size in sizes:
            end = self._at + size
            if end > len(self._data):
                self._unpack(size)
                end = size
            pieces.append(self._data[self._at : end])
            self._at = end
        return pieces

    def _unpack(self, size: int) -> None:
        pieces = [self._data[self._at :]]
        missing = size - len(pieces[0])
        while missing > 0:
            piece = self._stream.decompress(b"", max(_PIECE_BYTES, missing))
            if not piece:
                raise EOFError("the payload ends early")
            pieces.append(piece)
            missing -= len(piece)
        self._data, self._at = b"".join(pieces), 0


def _words(numbers: list[int]) -> bytes:
    words = array("I", numbers)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _numbers(data: bytes) -> list[int]:
    words = array("I", data)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tolist()
