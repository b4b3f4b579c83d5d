"""Pure: cut a stream of records into parts; encode and decode a part's payload.

A payload is zstd over a small header and the records:
``count: u32 | flags: u32 | lengths: u32[count] | rows: u32[count] if flags & 1 | records``, little-endian.
Records are framed by length, because a record is whatever JSON the caller sent, white space and lone
surrogate escapes included. Between each two lie ``flags >> 8`` bytes, a comma among them, so that they can be
decoded together as they lie there; none in parts that the first versions staged.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate

from backend.core.texts import Texts
from backend.formats.base import Batch

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
    a part is encoded in a thread meanwhile: zstd lets go of Python's lock, so that it costs no time. Such
    parts can be read once.
    """

    def __init__(self, records: Texts, sizes: Sizes, check: Callable[[Texts], None] | None = None) -> None:
        self.item_count = len(records)
        self._check = check
        self._bounds = list(_bounds(records.lengths, sizes))
        self._cut = [records.cut(start, end) for start, end in self._bounds]
        # The first one is encoded while the transaction begins that will take it.
        self._begun = [_encoders.submit(encode, one) for one in self._cut[: check is not None]]

    def __len__(self) -> int:
        """Number of parts."""
        return len(self._bounds)

    def __iter__(self) -> Iterator[Part]:
        encoded = map(encode, self._cut) if self._check is None else self._checked(self._check)
        for number, ((start, end), payload) in enumerate(zip(self._bounds, encoded, strict=True)):
            yield Part(number, start, end - start, payload)

    def _checked(self, check: Callable[[Texts], None]) -> Iterator[bytes]:
        """The last part is looked into after it was given out: PostgreSQL has its hands full with it then."""
        last = len(self._cut) - 1
        for number, records in enumerate(self._cut):
            payload = self._begun.pop()
            if number < last:
                self._begun.append(_encoders.submit(encode, self._cut[number + 1]))
                check(records)
            yield payload.result()
            if number == last:
                check(records)


def cut(records: Texts, sizes: Sizes, check: Callable[[Texts], None] | None = None) -> Cut:
    """Cut records of known number into even parts."""
    return Cut(records, sizes, check)


def _bounds(lengths: Sequence[int], sizes: Sizes) -> Iterator[tuple[int, int]]:
    size = sizes.even(len(lengths))
    weights = list(accumulate(lengths, initial=0))
    start = 0
    while start < len(lengths):
        heavy = bisect_left(weights, weights[start] + sizes.max_bytes)
        end = min(len(lengths), start + size, heavy)
        yield start, end
        start = end


def cut_stream(batches: Iterable[Batch], sizes: Sizes) -> Iterator[Part]:
    """Cut a stream of unknown length into growing parts.

    Three parts are in memory at a time: two are encoded in threads while the next one is read.
    """
    begun: deque[_Begun] = deque()
    part = _Gathered(0, 0, sizes.growing(0), sizes.max_bytes)
    for batch in batches:
        start = 0
        while start < len(batch.rows):
            start = part.take(batch, start)
            if part.full:
                if len(begun) == _AHEAD:
                    yield begun.popleft().part()
                begun.append(part.begin())
                after = part.first + len(part.rows)
                part = _Gathered(part.number + 1, after, sizes.growing(after), sizes.max_bytes)
    yield from (one.part() for one in begun)
    if part.rows:
        yield part.begin().part()


@dataclass(slots=True)
class _Gathered:
    """What goes into a part: ranges of the batches it came in.

    Attributes:
        wanted, max_bytes: records, and bytes of them, with either of which it is full.
    """

    number: int
    first: int
    wanted: int
    max_bytes: int
    blocks: list[Texts] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    weight: int = 0

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.wanted or self.weight >= self.max_bytes

    def take(self, batch: Batch, start: int) -> int:
        """Records from ``start`` on, until it is full; where the batch goes on."""
        weights = list(accumulate(batch.texts.lengths, initial=0))
        heavy = bisect_left(weights, weights[start] + self.max_bytes - self.weight)
        end = min(len(batch.rows), start + self.wanted - len(self.rows), heavy)
        self.blocks.append(batch.texts.cut(start, end))
        self.rows += batch.rows[start:end]
        self.weight += weights[end] - weights[start]
        return end

    def begin(self) -> _Begun:
        payload = _encoders.submit(encode, *self.blocks, rows=self.rows)
        return _Begun(self.number, self.first, len(self.rows), payload)


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


def encode(*blocks: Texts, rows: list[int] | None = None) -> bytes:
    """Records, in blocks that have the same gap (and their row numbers), as one payload."""
    lengths = [size for block in blocks for size in block.lengths]
    (gap,) = {block.gap for block in blocks}
    head = _words([len(lengths), (gap << 8) + int(rows is not None)])
    pieces: list[bytes | memoryview] = [head, _words(lengths), _words(rows or []), blocks[0].data]
    for block in blocks[1:]:
        pieces += (b",".ljust(gap), block.data)
    return zstd.compress(b"".join(pieces), LEVEL)


class Payload:
    """What ``encode`` was given, unpacked as far as it was asked for.

    Attributes:
        lengths: bytes of each record.
        rows: the row number of each record, where there are any.
    """

    def __init__(self, payload: bytes) -> None:
        self._data = _Unpacked(payload)
        count, flags = _numbers(self._data.take(8))
        self.lengths = _numbers(self._data.take(4 * count))
        self.rows = _numbers(self._data.take(4 * count)) if flags & 1 else None
        self._gap = flags >> 8
        self._unpacked: dict[int, Texts] = {}  # by the index of their first record

    def records(self, start: int, end: int) -> Texts:
        """The records from one index up to another.

        Ask for ranges in order, each beginning where the one before ended; again only for the same ones.

        Raises:
            EOFError: the payload ends early.
        """
        if start not in self._unpacked:
            self._unpacked[start] = self._unpack(start, end)
        return self._unpacked[start]

    def record(self, index: int) -> bytes:
        """One of the records that were asked for."""
        start = max(start for start in self._unpacked if start <= index)
        return self._unpacked[start].text(index - start)

    def _unpack(self, start: int, end: int) -> Texts:
        lengths, gap = self.lengths[start:end], self._gap
        if not gap:
            return Texts.of([self._data.take(size) for size in lengths])
        if start:
            self._data.take(gap)
        return Texts(self._data.take(sum(lengths) + gap * (len(lengths) - 1)), lengths, gap)


def decode(payload: bytes) -> tuple[Texts, list[int] | None]:
    """What ``encode`` was given, all of it."""
    staged = Payload(payload)
    count = len(staged.lengths)
    return staged.records(0, count) if count else Texts.of([]), staged.rows


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
        end = self._at + size
        if end > len(self._data):
            self._unpack(size)
            end = size
        taken = self._data[self._at : end]
        self._at = end
        return taken

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


def _words(numbers: Sequence[int]) -> bytes:
    words = array("I", numbers)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _numbers(data: bytes) -> list[int]:
    words = array("I", data)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tolist()
