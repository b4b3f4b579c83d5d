"""One owner's cards as a stream of formatted bytes, from one snapshot, ordered by id, in flat memory.

PostgreSQL formats (see ``columns``) and sends by COPY. A large selection is cut into ranges of ids, which
several connections read side by side inside the same snapshot; the bytes come out in order all the same.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import Copy

from backend.cards import snapshot
from backend.cards.channel import Job, side_by_side
from backend.cards.rules import slug
from backend.cards.snapshot import Reader, Snapshot
from backend.cards.statements import Selection, Statements

RANGE_CARDS = 5_000
CHUNK_BYTES = 256 * 1024
AHEAD_BYTES = 1024 * 1024  # what one connection may be ahead of the file being written
# COPY in binary sends a text value as it is, whatever is in it: field count, then length and bytes per field.
_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_ONE, _THREE = b"\0\1", b"\0\3"  # the field counts of our statements
_ONE_FIELD = 6

Entry = tuple[str, memoryview]
T = TypeVar("T")


class CardStream:
    """Reads a selection once.

    ``watermark`` is there with the first item, ``cards`` and ``tombstones`` are after the last one.

    Args:
        width: connections that read side by side, beside the one that holds the snapshot.
        tick: called about once a second while reading; what it raises ends the stream.

    Raises (while iterating):
        Gone: the watermark given as ``since`` is of another database.
        Unavailable: PostgreSQL does not answer.
    """

    def __init__(
        self, selection: Selection, *, width: int = 1, tick: Callable[[], None] = lambda: None
    ) -> None:
        self.selection = selection
        self.cards = 0
        self.tombstones = 0
        self.watermark: str | None = None
        self._width = width
        self._tick = tick

    def chunks(self) -> Iterator[bytes]:
        """Formatted text, about 256 KiB at a time."""
        yield from self._read(_csv if self.selection.shape == "csv" else _documents)

    def entries(self, prepare: Callable[[list[Entry]], T]) -> Iterator[T]:
        """Named documents (shape ``files``), about 256 KiB at a time. Names are unique and safe.

        Args:
            prepare: called with each batch in the thread that has read it; what it gives is yielded.
        """

        def prepared(copy: Copy) -> Iterator[tuple[T, int]]:
            for batch, weight in _entries(copy):
                yield prepare(batch), weight

        yield from self._read(prepared)

    def _read(self, parse: Callable[[Copy], Iterator[tuple[T, int]]]) -> Iterator[T]:
        sql = Statements(self.selection)
        with ExitStack() as stack:
            taken = stack.enter_context(snapshot.take(self.selection.owner))
            if self.selection.since is not None:
                self.selection.since.check(taken.watermark)
            self.watermark = taken.watermark.token()
            readers: queue.SimpleQueue[Reader] = queue.SimpleQueue()
            opened: list[Reader] = []

            def reader() -> Reader:
                """A free connection; the first job of a small selection uses the snapshot's own."""
                with suppress(queue.Empty):
                    return readers.get_nowait()
                joined = stack.enter_context(snapshot.join(taken.export(), taken.owner))
                opened.append(joined)
                return joined

            def copy(where: str, values: dict[str, Any], statement: str, give_back: bool) -> Job[T]:
                source = reader() if give_back else taken

                def job(put: Callable[[T, int], None]) -> None:
                    with source.connection.cursor() as cursor:
                        with cursor.copy(statement.format(where=where).encode(), values) as out:
                            for item, weight in parse(out):
                                put(item, weight)
                        counts.append(cursor.rowcount)
                    if give_back:
                        readers.put(source)

                return job

            def jobs() -> Iterator[Job[T]]:
                where, values = sql.where()
                for bounds, limits in self._ranges(taken, where, values):
                    whole = bounds == ""
                    yield copy(where + bounds, values | limits, sql.cards(), not whole)

            def interrupt() -> None:
                for one in [taken, *opened]:
                    with suppress(psycopg.Error):
                        one.connection.cancel_safe(timeout=2)

            counts: list[int] = []
            options: dict[str, Any] = {"tick": self._tick, "interrupt": interrupt}
            yield from side_by_side(jobs(), self._width, AHEAD_BYTES, **options)
            self.cards = sum(counts)
            if self.selection.since is not None:
                counts.clear()
                where, values = sql.gone()
                last = iter([copy(where, values, sql.tombstones(), False)])
                yield from side_by_side(last, 1, AHEAD_BYTES, **options)
                self.tombstones = sum(counts)

    def _ranges(
        self, taken: Snapshot, where: str, values: dict[str, Any]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Conditions that cut the selection into ranges of ids, found one by one; ``""`` is all of it."""
        if self._width == 1 or self.selection.filters.is_narrow:
            yield "", {}
            return
        last: UUID | None = None
        while True:
            after = "" if last is None else " AND id > %(after)s"
            limits: dict[str, Any] = {} if last is None else {"after": last}
            row = taken.connection.execute(
                f"SELECT id FROM cards WHERE user_id = %(owner)s{after} "  # noqa: S608 - constants
                f"ORDER BY id OFFSET {RANGE_CARDS - 1} LIMIT 1",
                {"owner": taken.owner, **limits},
            ).fetchone()
            if row is None:
                yield after, limits
                return
            limits["upto"] = last = row[0]
            yield f"{after} AND id <= %(upto)s", limits


def _csv(copy: Copy) -> Iterator[tuple[bytes, int]]:
    rows: list[Any] = []
    size = 0
    for row in copy:
        rows.append(row)
        size += len(row)
        if size >= CHUNK_BYTES:
            yield b"".join(rows), size
            rows, size = [], 0
    if rows:
        yield b"".join(rows), size


def _rows(copy: Copy) -> Iterator[memoryview]:
    """Rows of a binary COPY: PostgreSQL sends one per message, the header before the first."""
    for message in copy:
        row = memoryview(message)
        if row[:2] == _ONE or row[:2] == _THREE:
            yield row
        elif row[:7] == _BINARY_HEADER[:7] and row[len(_BINARY_HEADER) :] != _TRAILER:
            yield row[len(_BINARY_HEADER) :]


def _documents(copy: Copy) -> Iterator[tuple[bytes, int]]:
    documents: list[memoryview] = []
    size = 0
    for row in _rows(copy):
        documents.append(row[_ONE_FIELD:])
        size += len(row)
        if size >= CHUNK_BYTES:
            yield b"".join(documents), size
            documents, size = [], 0
    if documents:
        yield b"".join(documents), size


def _entries(copy: Copy) -> Iterator[tuple[list[Entry], int]]:
    entries: list[Entry] = []
    size = 0
    for row in _rows(copy):
        at = 6 + int.from_bytes(row[2:6], "big")
        title = str(row[6:at], "utf-8")
        end = at + 4 + int.from_bytes(row[at : at + 4], "big")
        name = str(row[at + 4 : end], "ascii")
        entries.append((f"{slug(title)}-{name}.md" if title else f"{name}.md", row[end + 4 :]))
        size += len(row)
        if size >= CHUNK_BYTES:
            yield entries, size
            entries, size = [], 0
    if entries:
        yield entries, size
