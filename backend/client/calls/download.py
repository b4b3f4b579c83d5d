"""Downloads: resumed where they were cut, checked, and there as a whole or not at all."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from backend.client.calls.operations import Id
from backend.client.errors import ApiError, ConnectionFailed, DownloadFailed, UnexpectedAnswer
from backend.client.models import Downloaded
from backend.client.retries import RetryPolicy, opened
from backend.client.sinks import Sink, safe_name
from backend.client.wire import AskPolicy, Close, Flow, Lost, Read, Request, Response, Run, Sleep

OnProgress = Callable[[int, int | None], None]
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_MOST_REDIRECTS = 3


def download(
    task_id: Id,
    to: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    on_progress: OnProgress | None = None,
) -> Flow[Downloaded]:
    """Download an export's file.

    Args:
        to: a file, replaced in one step once the new one is whole; or a folder, for the server's own name.
        sha256: what the file must hash to (hex), as in the export's result, beside the answer's own digest.
        on_progress: called with the bytes that are here and their total, if known.

    Raises:
        DownloadFailed: it did not arrive whole, or is not what the server said.
        ApiError: for example ``Gone`` when its retention is over.
        OSError: when it cannot be written.
    """
    path = f"/bulk/operations/{quote(str(task_id), safe='')}/download"
    return (yield from _fetched(path, {}, Path(to), sha256, on_progress))


def download_errors(
    task_id: Id,
    to: str | os.PathLike[str],
    *,
    format: Literal["json", "ndjson", "csv", "markdown", "zip"] | str = "ndjson",
) -> Flow[Downloaded]:
    """Download the failed items as a file that can be mended and imported again; ``to`` as there."""
    path = f"/bulk/operations/{quote(str(task_id), safe='')}/errors"
    return (yield from _fetched(path, {"format": format}, Path(to), None, None))


@dataclass(slots=True)
class _Whole:
    """What the first answer says of the file as a whole."""

    etag: str | None = None
    total: int | None = None
    sha256: bytes | None = None


def _fetched(
    path: str, params: Mapping[str, str], to: Path, sha256: str | None, on_progress: OnProgress | None
) -> Flow[Downloaded]:
    policy: RetryPolicy = yield AskPolicy()
    is_folder = to.is_dir()
    sink: Sink = yield Run(lambda: Sink(to if is_folder else to.parent))
    try:
        whole, failures = _Whole(), 0
        while True:
            answer = yield from _opened(path, params, whole, sink)
            before = sink.size
            reason = yield from _copied(sink, whole, on_progress)
            if reason is None:
                break
            failures = 1 if sink.size > before else failures + 1
            pause = policy.pause(failures)
            if pause is None:
                raise ConnectionFailed(reason)
            yield Sleep(pause)
        _check(sink, whole, sha256)
        name = _suggested(answer.headers)
        target = to / safe_name(name, "extrophi-export") if is_folder else to
        yield Run(lambda: sink.commit(target))
        return Downloaded(
            sink.size,
            sink.sha256.hex(),
            target.name if is_folder else name,
            answer.headers.get("content-type"),
        )
    finally:
        sink.abandon()


def _opened(path: str, params: Mapping[str, str], whole: _Whole, sink: Sink) -> Flow[Response]:
    """Open the file, from where it was cut if that can be. ``sink`` is where the answer begins."""
    headers = {"Accept-Encoding": "identity"}  # the bytes as stored: what Range and the digest are about
    if sink.size and whole.etag:
        headers |= {"Range": f"bytes={sink.size}-", "If-Range": whole.etag}
    request = Request("GET", path, params, headers)
    try:
        answer = yield from _redirected(request)
    except ApiError as error:
        if error.status != 416:
            raise
        yield Run(sink.restart)  # it is another file now, or was whole before the end could be seen
        answer = yield from _redirected(Request("GET", path, params, {"Accept-Encoding": "identity"}))
    if answer.status == 206:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None or int(found[1]) != sink.size or not sink.size:
            raise UnexpectedAnswer("The server sent another piece of the file than was asked for.")
        return answer
    if answer.status != 200:
        raise UnexpectedAnswer(f"The server answered {answer.status} instead of the file.")
    yield Run(sink.restart)
    length = answer.headers.get("content-length", "")
    whole.total = int(length) if length.isdigit() else None
    whole.sha256 = _digest(answer.headers)
    etag = answer.headers.get("etag")
    whole.etag = etag if etag and not etag.startswith("W/") else None  # If-Range wants a strong one
    return answer


def _redirected(request: Request) -> Flow[Response]:
    """Open it, following redirects to where the files are kept; the API key is not sent there."""
    for _ in range(_MOST_REDIRECTS + 1):
        answer = yield from opened(request)
        if answer.status not in {301, 302, 303, 307, 308}:
            return answer
        yield Close()
        location = answer.headers.get("location", "")
        if not location.startswith(("https://", "http://", "/")):
            break
        request = Request("GET", location, {}, request.headers)
    raise UnexpectedAnswer("The server redirects without an end.")


def _copied(sink: Sink, whole: _Whole, on_progress: OnProgress | None) -> Flow[str | None]:
    """Copy the open answer to its end; why it is not whole, or None when it is."""
    while True:
        chunk: bytes | Lost = yield Read()
        if isinstance(chunk, Lost):
            return chunk.reason
        if not chunk:
            break
        data = chunk
        yield Run(lambda data=data: sink.write(data))  # type: ignore[misc]
        if on_progress is not None:
            on_progress(sink.size, whole.total)
    if whole.total is not None and sink.size < whole.total:
        return "the answer ended early"
    return None


def _check(sink: Sink, whole: _Whole, sha256: str | None) -> None:
    if whole.total is not None and sink.size != whole.total:
        raise DownloadFailed(f"{sink.size} bytes came where {whole.total} were announced.")
    expected = [digest for digest in (whole.sha256, bytes.fromhex(sha256) if sha256 else None) if digest]
    if any(digest != sink.sha256 for digest in expected):
        raise DownloadFailed("The file's SHA-256 is not the one that the server said. Nothing was kept.")


def _digest(headers: Mapping[str, str]) -> bytes | None:
    """SHA-256 of the whole file, from ``Repr-Digest`` (RFC 9530) or ``Digest`` (RFC 3230)."""
    for name in ("repr-digest", "digest"):
        for entry in headers.get(name, "").split(","):
            algorithm, _, value = entry.strip().partition("=")
            if algorithm.lower() == "sha-256":
                try:
                    return base64.b64decode(value.strip(":"), validate=True)
                except binascii.Error:
                    return None
    return None


def _suggested(headers: Mapping[str, str]) -> str | None:
    """The file name in ``Content-Disposition``."""
    message = Message()
    message["Content-Disposition"] = headers.get("content-disposition", "")
    return message.get_filename()
