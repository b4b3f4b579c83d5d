"""One owner's cards as a stream of formatted bytes, from one snapshot, ordered by id, in flat memory.

PostgreSQL formats (see ``columns``) and sends by COPY. A large selection is cut into ranges of ids, which
several connections read side by side inside the same snapshot; the bytes come out in order all the same.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from backend.cards import snapshot
from backend.cards.channel import Job, side_by_side
from backend.cards.rules import slug
from backend.cards.snapshot import Reader, Snapshot
from backend.cards.statements import Selection, Statements
from backend.db.copy_binary import HEADER, TRAILER
from backend.db.copy_wire import CopyOut

RANGE_CARDS = 5_000
CHUNK_BYTES = 256 * 1024
AHEAD_BYTES = 384 * 1024  # what one connection may be ahead of the file being written
# COPY in binary sends a text value as it is, whatever is in it: field count, then length and bytes per field.
_ONE_FIELD = 6

Rows = Iterable[list[memoryview]]
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

        def prepared(rows: Rows) -> Iterator[tuple[T, int]]:
            for batch, weight in _entries(rows):
                yield prepare(batch), weight

        yield from self._read(prepared)

    def _read(self, parse: Callable[[Rows], Iterator[tuple[T, int]]]) -> Iterator[T]:
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
                    query = statement.format(where=where).encode()
                    rows = CopyOut(source.connection, query, values, CHUNK_BYTES)
                    for item, weight in parse(rows):
                        put(item, weight)
                    counts.append(rows.count)
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


def _csv(batches: Rows) -> Iterator[tuple[bytes, int]]:
    for rows in batches:
        text = b"".join(rows)
        yield text, len(text)


def _tuples(batches: Rows) -> Iterator[list[memoryview]]:
    """Rows of a binary COPY, which has a header before the first one and a trailer after the last."""
    begun = False
    for rows in batches:
        if not begun:
            begun, rows[0] = True, rows[0][len(HEADER) :]
            if not rows[0]:
                del rows[0]
        if rows and rows[-1] == TRAILER:
            del rows[-1]
        if rows:
            yield rows


def _documents(batches: Rows) -> Iterator[tuple[bytes, int]]:
    for rows in _tuples(batches):
        text = b"".join([row[_ONE_FIELD:] for row in rows])
        yield text, len(text)


def _entries(batches: Rows) -> Iterator[tuple[list[Entry], int]]:
    for rows in _tuples(batches):
        entries: list[Entry] = []
        for row in rows:
            at = 6 + int.from_bytes(row[2:6], "big")
            title = str(row[6:at], "utf-8")
            end = at + 4 + int.from_bytes(row[at : at + 4], "big")
            name = str(row[at + 4 : end], "ascii")
            entries.append((f"{slug(title)}-{name}.md" if title else f"{name}.md", row[end + 4 :]))
        yield entries, sum(map(len, rows))
