"""Read request bodies within their limits: declared, received and decoded size, silence, duration."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from backend.api.multipart import FormReader
from backend.core.errors import MalformedBody, PayloadTooLarge, RequestTimeout, UnsupportedMedia
from backend.core.settings import Settings, get_settings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("gzip", "zstd")
_FREE_BYTES = 1024 * 1024  # decoded bytes before the ratio is looked at
_STEP_BYTES = 256 * 1024
_WRITE_BYTES = 512 * 1024


async def read_json(request: Request) -> bytes:
    """The decoded bytes of a JSON body.

    Raises:
        UnsupportedMedia: another media type, or an encoding other than gzip and zstd.
        PayloadTooLarge: declared, received or decoded beyond the limit.
        MalformedBody: broken compression.
        RequestTimeout: the sender stalled.
    """
    settings = get_settings()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMedia("Content-Type must be application/json")
    encoding = encoding_of(request)
    chunks = received(request, settings, settings.max_json_body_bytes)
    if encoding is None:
        return b"".join([chunk async for chunk in chunks])
    decoder = _Decoder(encoding, settings.max_json_body_bytes, settings.max_decompression_ratio)
    parts: list[bytes] = []
    async for chunk in chunks:
        parts += decoder.feed(chunk)
    decoder.finish()
    return b"".join(parts)


@dataclass(slots=True)
class Upload:
    """A body in a temporary file, as it was sent. Leaving the context removes the file.

    Attributes:
        fields: further fields of a multipart form: the import's options.
        sha256: of the bytes in the file; of none where no Idempotency-Key asks for it.
    """

    path: Path
    media_type: str
    content_encoding: str | None
    file_name: str | None
    sha256: bytes
    fields: dict[str, str] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


def clean_uploads(settings: Settings) -> None:
    """Remove what an API process that was killed left in the uploads' folder. Call it when one starts."""
    oldest = time.time() - 2 * settings.body_total_timeout_seconds
    for left in (settings.data_dir / "uploads").glob("upload-*"):
        with suppress(OSError):  # another process may be quicker
            if left.stat().st_mtime < oldest:
                left.unlink()


async def spool(request: Request) -> Upload:
    """Stream a raw or multipart body to disk; memory stays flat.

    Raises:
        UnsupportedMedia, PayloadTooLarge, MalformedBody, RequestTimeout: as for ``read_json``.
        InvalidRequest: a form without exactly one file.
    """
    settings = get_settings()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type:
        raise UnsupportedMedia("Content-Type is missing")
    encoding = encoding_of(request)
    folder = settings.data_dir / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="upload-", dir=folder)
    path = Path(name)
    digest = hashlib.sha256()
    hashed = digest if "idempotency-key" in request.headers else None
    try:
        with os.fdopen(handle, "wb") as file:
            chunks = received(request, settings, settings.max_upload_bytes)
            if media_type == "multipart/form-data":
                if encoding is not None:
                    raise UnsupportedMedia("A multipart form cannot have a Content-Encoding; its file can")
                reader = FormReader(request.headers["content-type"])
                async for batch in _batches(chunks):
                    parts = [part for chunk in batch for part in reader.feed(chunk)]
                    await run_in_threadpool(_write, file, hashed, parts)
                form = reader.finish()
                return Upload(
                    path, form.media_type, form.content_encoding, form.file_name, digest.digest(), form.fields
                )
            async for batch in _batches(chunks):
                await run_in_threadpool(_write, file, hashed, batch)
        return Upload(path, media_type, encoding, None, digest.digest())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def encoding_of(request: Request) -> str | None:
    """The body's compression.

    Raises:
        UnsupportedMedia: for any but gzip and zstd.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding == "x-gzip":
        return "gzip"
    if encoding not in ENCODINGS:
        raise UnsupportedMedia(f"Content-Encoding must be one of: {', '.join(ENCODINGS)}")
    return encoding


async def received(request: Request, settings: Settings, most: int) -> AsyncIterator[bytes]:
    """The body's chunks as they arrive, counted and timed.

    Raises:
        PayloadTooLarge, RequestTimeout, MalformedBody: when the sender goes away in the middle.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    count = 0
    end = time.monotonic() + settings.body_total_timeout_seconds
    stream = request.stream().__aiter__()
    while True:
        left = min(settings.body_idle_timeout_seconds, end - time.monotonic())
        try:
            if left <= 0:  # what is there already would be read all the same
                raise TimeoutError
            async with asyncio.timeout(left):  # wait_for would make a task for every chunk
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RequestTimeout("The request body did not arrive in time") from None
        except ClientDisconnect:
            raise MalformedBody("The request body ended early") from None
        count += len(chunk)
        if count > most:
            raise _too_large(most)
        if chunk:
            yield chunk


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Chunks some at a time: going to a thread and back costs more than writing one of them."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= _WRITE_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


class _Decoder:
    """gzip (any number of members) or zstd (any number of frames), in bounded steps, under caps."""

    def __init__(self, encoding: str, most: int, ratio: int) -> None:
        self._encoding = encoding
        self._most = most
        self._ratio = ratio
        self._sent = self._decoded = 0
        self._stream: Any = None

    def feed(self, data: bytes) -> list[bytes]:
        self._sent += len(data)
        parts = []
        try:
            while data or self._more():
                if self._stream is None:
                    self._stream = self._new()
                part, data = self._step(data)
                self._decoded += len(part)
                if self._decoded > self._most:
                    raise _too_large(self._most)
                if self._decoded > _FREE_BYTES and self._decoded > self._sent * self._ratio:
                    raise PayloadTooLarge(f"The body expands to more than {self._ratio} times what was sent")
                if part:
                    parts.append(part)
        except (zlib.error, zstd.ZstdError, EOFError) as error:
            raise MalformedBody(f"The body is not valid {self._encoding}") from error
        return parts

    def finish(self) -> None:
        if self._stream is not None:
            raise MalformedBody(f"The body's {self._encoding} ends early")

    def _new(self) -> Any:
        if self._encoding == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        return zstd.ZstdDecompressor()

    def _more(self) -> bool:
        """Whether output waits that needs no further input."""
        return self._encoding == "zstd" and self._stream is not None and not self._stream.needs_input

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        stream = self._stream
        if self._encoding == "gzip":
            part = stream.decompress(data, _STEP_BYTES)
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
        else:
            part = stream.decompress(data, _STEP_BYTES)
            rest = stream.unused_data if stream.eof else b""
        if stream.eof:
            self._stream = None
        return part, rest


def _write(file: Any, digest: Any | None, parts: list[bytes]) -> None:
    for part in parts:
        if digest is not None:
            digest.update(part)
        file.write(part)


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {most:,} bytes")
