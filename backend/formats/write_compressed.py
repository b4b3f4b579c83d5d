"""A stream of bytes, compressed while it is made: one gzip member or one zstd frame.

The work is done by threads beside the one that reads the source (both libraries let go of Python's lock).
gzip has no parallel form of its own, so pieces of 512 KiB are deflated apart, each flushed to a byte
boundary, and put behind one another in a single member, as pigz does: every reader of gzip reads it.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP_LEVEL = 1
ZSTD_LEVEL = 1
GZIP_WORKERS = 2
ZSTD_WORKERS = 1  # beside the thread that reads; it keeps up with two connections
_PIECE_BYTES = 512 * 1024
_JOB_BYTES = 512 * 1024
# Magic, deflate, no flags, no time (equal input, equal output), fastest algorithm, unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_GZIP_END = b"\x03\x00"  # an empty last block

SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}
MEDIA_TYPES = {"gzip": "application/gzip", "zstd": "application/zstd"}


def compressed(chunks: Iterable[bytes], compression: str | None) -> Iterator[bytes]:
    """``chunks`` as they are (``None``), or as one gzip member or one zstd frame.

    Raises:
        ValueError: for any other compression.
    """
    if compression is None:
        return iter(chunks)
    if compression == "gzip":
        return gzip_chunks(chunks)
    if compression == "zstd":
        return zstd_chunks(chunks)
    raise ValueError(f"unknown compression {compression}")


def zstd_chunks(
    chunks: Iterable[bytes], level: int = ZSTD_LEVEL, workers: int = ZSTD_WORKERS
) -> Iterator[bytes]:
    """One zstd frame with a checksum; libzstd's own threads where it was built with them."""
    parameter = zstd.CompressionParameter
    _, most = parameter.nb_workers.bounds()
    options: dict[int, int] = {
        parameter.compression_level: level,
        parameter.checksum_flag: 1,
        parameter.nb_workers: min(workers, most),
    }
    if most:  # what each thread holds; by default several times as much
        options[parameter.job_size] = _JOB_BYTES
    compressor = zstd.ZstdCompressor(options=options)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def gzip_chunks(
    chunks: Iterable[bytes], level: int = GZIP_LEVEL, workers: int = GZIP_WORKERS
) -> Iterator[bytes]:
    """One gzip member (RFC 1952), its pieces deflated side by side."""
    crc = size = 0
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="gzip") as pool:
        yield _GZIP_HEADER
        for piece in pieces(chunks, _PIECE_BYTES):
            waiting.append(pool.submit(_deflated, piece, level))
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    yield _GZIP_END + struct.pack("<II", crc, size & 0xFFFFFFFF)


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of at least ``size`` bytes, but for the last one."""
    held: list[bytes] = []
    weight = 0
    for chunk in chunks:
        held.append(chunk)
        weight += len(chunk)
        if weight >= size:
            yield b"".join(held)
            held, weight = [], 0
    if weight:
        yield b"".join(held)


def _deflated(piece: bytes, level: int) -> bytes:
    """Raw deflate blocks that end on a byte boundary and are not the last ones."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    return deflater.compress(piece) + deflater.flush(zlib.Z_SYNC_FLUSH)
