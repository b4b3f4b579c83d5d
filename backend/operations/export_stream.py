"""An export as the bytes of its file: the cards' stream, framed for its format, then compressed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from backend.cards import columns
from backend.cards.stream import CardStream
from backend.formats.write_compressed import compressed
from backend.formats.write_zip import ZipWriter, pack
from backend.operations.export_options import ExportOptions


class ExportStream:
    """Iterate once; afterwards ``cards`` and ``tombstones`` are those of what was written.

    Args:
        encoding: a Content-Encoding, for a file that is not compressed itself.
        width: connections that read side by side; 1 is right where many requests stream at once.
        tick: called about once a second; what it raises ends the stream.

    Raises (while iterating):
        Gone: ``since`` is a watermark of another database.
        Unavailable: PostgreSQL does not answer.
    """

    def __init__(
        self,
        owner: UUID,
        options: ExportOptions,
        *,
        width: int = 1,
        encoding: str | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._compression = options.compression or encoding
        self._rows = CardStream(options.selection(owner), width=width, tick=tick)

    @property
    def cards(self) -> int:
        return self._rows.cards

    @property
    def tombstones(self) -> int:
        return self._rows.tombstones

    @property
    def watermark(self) -> str | None:
        return self._rows.watermark

    def __iter__(self) -> Iterator[bytes]:
        return compressed(self._framed(), self._compression)

    def _framed(self) -> Iterator[bytes]:
        match self._options.form.shape:
            case "files":
                return self._zip()
            case "json":
                return self._array()
            case "csv":
                return self._table()
            case _:
                return self._rows.chunks()

    def _array(self) -> Iterator[bytes]:
        """Every object comes after a comma and a line break; the first one does without the comma."""
        before = b"["
        for chunk in self._rows.chunks():
            yield before + chunk[1:] if before else chunk
            before = b""
        yield before + b"\n]\n"

    def _table(self) -> Iterator[bytes]:
        options = self._options
        names = columns.names(metadata=options.include_metadata, incremental=options.since is not None)
        yield ",".join(names).encode() + b"\n"
        yield from self._rows.chunks()

    def _zip(self) -> Iterator[bytes]:
        # What is compressed as a whole is smaller when its entries are not.
        level = 0 if self._compression else 1
        archive = ZipWriter(datetime.now(UTC))
        for packed in self._rows.entries(lambda entries: pack(entries, level)):
            yield archive.add(packed)
        yield from archive.end()
