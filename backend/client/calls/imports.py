"""Calls that bring cards in."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any, Unpack, cast

from backend.client import answers, bodies, kinds
from backend.client.json_array import to_lines
from backend.client.models import FileOptions, ImportOptions, Operation
from backend.client.retries import send
from backend.client.wire import Flow, Request, Run

OnProgress = Callable[[int, int | None], None]
IMPORT = "/bulk/import"
PREVIEW = "/bulk/import/preview"
PRESETS = "/bulk/presets"
MAX_JSON_CARDS = 10_000
MAX_JSON_BYTES = 32 * 1024 * 1024
SLOW_SECONDS = 600.0  # a server may take this long over a large file before it answers
_SNIFFED_BYTES = 64 * 1024


def import_cards(cards: Iterable[Mapping[str, Any]], **options: Unpack[ImportOptions]) -> Flow[Operation]:
    """Import any number of cards as one operation.

    Up to 10,000 cards (and 32 MiB) go as the documented JSON body; more go as an NDJSON upload, kept in a
    temporary file so that it can be sent again. Every card keeps its index in ``cards``.

    Raises:
        ValueError, TypeError: when a card cannot be written as JSON; nothing was sent then.
        ApiError: when the API refuses.
    """
    body, media_type = yield Run(lambda: _body_of(cards, options))
    return (yield from _posted(body, kinds.Kind(media_type), cast(FileOptions, options)))


def import_file(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    on_progress: OnProgress | None = None,
    **options: Unpack[FileOptions],
) -> Flow[Operation]:
    """Import a file: a path, or an open binary stream (a pipe is kept in a temporary file first).

    Streamed, in flat memory. A JSON file that is an array of cards, such as an export, is sent as NDJSON.

    Args:
        on_progress: called with the bytes of the file that were sent and their total; from another thread in
            the asynchronous client, and from the start again when the file has to be sent again.

    Raises:
        NotAFormat: when neither name, content nor options say what it is.
        OSError: when it cannot be read.
        ApiError: when the API refuses.
    """
    body, kind = yield Run(lambda: _opened(source, options, on_progress))
    if (compress := options.get("compress")) and kind.encoding is None:
        body, kind = bodies.compressed(body, compress), kinds.Kind(kind.media_type, compress)
    return (yield from _posted(body, kind, options))


def preview(
    source: str | os.PathLike[str] | IO[bytes], **options: Unpack[FileOptions]
) -> Flow[list[dict[str, Any]]]:
    """The first rows of a file (20) as the cards they would become; nothing is stored."""
    body, kind = yield Run(lambda: _opened(source, options))
    response = yield from send(
        Request("POST", PREVIEW, _query(options), _headers(kind, options), body, SLOW_SECONDS)
    )
    return answers.page(response)[0]


def presets() -> Flow[list[dict[str, Any]]]:
    """The products whose files are understood, each with an example."""
    response = yield from send(Request("GET", PRESETS))
    return answers.page(response)[0]


def _posted(body: bodies.Body, kind: kinds.Kind, options: FileOptions) -> Flow[Operation]:
    in_body = isinstance(body, bodies.BytesBody)
    request = Request(
        "POST", IMPORT, {} if in_body else _query(options), _headers(kind, options), body, SLOW_SECONDS
    )
    response = yield from send(request)
    return answers.operation(response)


def _headers(kind: kinds.Kind, options: Mapping[str, Any]) -> dict[str, str]:
    headers = {
        "Content-Type": kind.media_type,
        "Idempotency-Key": options.get("idempotency_key") or uuid.uuid4().hex,
    }
    if kind.encoding:
        headers["Content-Encoding"] = kind.encoding
    return headers


_NOT_SENT = frozenset({"idempotency_key", "media_type", "compress"})


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _NOT_SENT and value is not None}


def _query(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as query parameters: how they travel with everything that is not a JSON envelope."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in _given(options).items()
    }


def _body_of(cards: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> tuple[bodies.Body, str]:
    encoded = _encoded(cards)
    head: list[bytes] = []
    size = 0
    for card in encoded:
        head.append(card)
        size += len(card) + 1
        if len(head) > MAX_JSON_CARDS or size > MAX_JSON_BYTES:
            return bodies.spooled(card + b"\n" for card in chain(head, encoded)), kinds.NDJSON
    fields = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in _given(options).items())
    return bodies.BytesBody(b'{"cards":[' + b",".join(head) + b"]" + fields.encode() + b"}"), kinds.JSON


def _encoded(cards: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Each card as JSON, in ASCII: a lone surrogate travels as an escape and fails one card, not all."""
    encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)
    for index, card in enumerate(cards):
        try:
            yield encoder.encode(card).encode()
        except (TypeError, ValueError) as error:
            raise type(error)(f"card {index}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _opened(
    source: str | os.PathLike[str] | IO[bytes], options: FileOptions, on_progress: OnProgress | None = None
) -> tuple[bodies.Body, kinds.Kind]:
    """The body and its kind. Arrays of cards become NDJSON on their way."""
    body: bodies.Body
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not a file")
        body, name = bodies.PathBody(path), path.name
    else:
        body = bodies.from_stream(source)
        name = getattr(source, "name", "")
        name = name if isinstance(name, str) and not name.startswith("<") else ""
    media_type, preset = options.get("media_type"), options.get("preset")
    if name or media_type or preset:
        kind = kinds.of_name(name, media_type=media_type, preset=preset)
    else:
        kind = kinds.of_start(_start(body))
    is_array = kind.media_type == kinds.JSON and preset is None and _is_array(body, kind.encoding)
    if on_progress is not None:
        body = bodies.WatchedBody(body, on_progress)
    if is_array:
        return bodies.TransformedBody(_decoded(body, kind.encoding), to_lines), kinds.Kind(kinds.NDJSON)
    return body, kind


def _start(body: bodies.Body) -> bytes:
    start = b""
    for chunk in body.open():
        start += chunk
        if len(start) >= _SNIFFED_BYTES:
            break
    return start


def _is_array(body: bodies.Body, encoding: str | None) -> bool:
    return _start(_decoded(body, encoding)).lstrip(b" \t\r\n").startswith(b"[")


def _decoded(body: bodies.Body, encoding: str | None) -> bodies.Body:
    if encoding is None:
        return body
    return bodies.decompressed(body, "gzip" if encoding == "gzip" else "zstd")
