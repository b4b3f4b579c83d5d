"""Request bodies that can be sent again from their start, as often as a retry needs."""

from __future__ import annotations

import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from backend.client.errors import ClientError

Compression = Literal["gzip", "zstd"]

CHUNK_BYTES = 256 * 1024
SPOOL_BYTES = 16 * 1024 * 1024  # kept in memory up to this size, in a temporary file beyond


class Body(Protocol):
    """``length`` is in bytes, None when unknown (sent chunked then)."""

    @property
    def length(self) -> int | None: ...

    def open(self) -> Iterator[bytes]:
        """Its bytes, from the start."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A body in memory."""

    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)

    def open(self) -> Iterator[bytes]:
        yield self.data


@dataclass(frozen=True, slots=True)
class PathBody:
    """A file, streamed as it is."""

    path: Path

    @property
    def length(self) -> int | None:
        return self.path.stat().st_size

    def open(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True, slots=True)
class StreamBody:
    """An open, seekable binary file, from ``start`` on. It stays open."""

    stream: IO[bytes]
    start: int

    @property
    def length(self) -> int | None:
        self.stream.seek(0, os.SEEK_END)
        return self.stream.tell() - self.start

    def open(self) -> Iterator[bytes]:
        self.stream.seek(self.start)
        while chunk := self.stream.read(CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True, slots=True)
class TransformedBody:
    """Another body, changed on its way: its length is not known beforehand."""

    inner: Body
    transform: Callable[[Iterable[bytes]], Iterator[bytes]]

    @property
    def length(self) -> None:
        return None

    def open(self) -> Iterator[bytes]:
        return self.transform(self.inner.open())


@dataclass(frozen=True, slots=True)
class WatchedBody:
    """Another body; ``on_progress`` hears of the bytes that were taken from it so far, and of their total."""

    inner: Body
    on_progress: Callable[[int, int | None], None]

    @property
    def length(self) -> int | None:
        return self.inner.length

    def open(self) -> Iterator[bytes]:
        taken, total = 0, self.inner.length
        for chunk in self.inner.open():
            yield chunk
            taken += len(chunk)
            self.on_progress(taken, total)


def compressed(body: Body, compression: Compression) -> TransformedBody:
    """The same bytes, compressed while they are sent."""
    return TransformedBody(body, _gzip if compression == "gzip" else _zstd)


def from_stream(stream: IO[bytes]) -> StreamBody:
    """A body of what is left in ``stream``. One that cannot be rewound (a pipe) is first read to its end."""
    if stream.seekable():
        return StreamBody(stream, stream.tell())
    return spooled(iter(lambda: stream.read(CHUNK_BYTES), b""))


def spooled(chunks: Iterable[bytes]) -> StreamBody:
    """Keep these bytes for sending: in memory while they are few, else in a temporary file without a name."""
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - lives as long as the body
    for chunk in chunks:
        spool.write(chunk)
    return StreamBody(spool, 0)


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with a gzip header and trailer
    for chunk in chunks:
        if out := squeeze.compress(chunk):
            yield out
    yield squeeze.flush()


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    squeeze = _zstd_module().ZstdCompressor(level=3)
    for chunk in chunks:
        if out := squeeze.compress(chunk):
            yield out
    yield squeeze.flush()


def decompressed(body: Body, compression: Compression) -> TransformedBody:
    """The bytes that a compressed body holds.

    Raises (while it is read):
        ClientError: when they are not what they seem.
    """
    return TransformedBody(body, _ungzip if compression == "gzip" else _unzstd)


def _ungzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unzip = zlib.decompressobj(31)
    for chunk in chunks:
        while chunk:
            try:
                out = unzip.decompress(chunk)
            except zlib.error as error:
                raise ClientError("The file is not gzip, or damaged.") from error
            if out:
                yield out
            chunk = unzip.unused_data  # several members one behind the other are one file
            if unzip.eof:
                unzip = zlib.decompressobj(31)


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    zstd = _zstd_module()
    unzip = zstd.ZstdDecompressor()
    for chunk in chunks:
        while chunk:
            try:
                out = unzip.decompress(chunk)
            except zstd.ZstdError as error:
                raise ClientError("The file is not zstd, or damaged.") from error
            if out:
                yield out
            chunk = unzip.unused_data
            if unzip.eof:
                unzip = zstd.ZstdDecompressor()


def _zstd_module() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
