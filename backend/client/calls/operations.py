"""Calls about operations: start the others, follow them, change their course, see what they did."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from backend.client import answers, bodies
from backend.client.errors import ConnectionFailed, UnexpectedAnswer, WaitTimeout
from backend.client.models import ItemError, ItemResult, Operation, OperationSummary, Status
from backend.client.retries import RetryPolicy, opened, send
from backend.client.wire import AskPolicy, Emit, Flow, Lost, Read, Request, Sleep, StreamFlow

T = TypeVar("T")
Id = str | uuid.UUID
Format = Literal["json", "ndjson", "csv", "markdown", "zip"]

WAIT_SECONDS = 25  # one ?wait=; a server allows up to 60, proxies often less
_PATIENCE_SECONDS = 30.0


def export(
    *,
    format: Format | str = "json",
    card_ids: Iterable[Id] | None = None,
    privacy_levels: Iterable[str] | None = None,
    categories: Iterable[str] | None = None,
    published_only: bool | None = None,
    include_metadata: bool | None = None,
    compression: Literal["gzip", "zstd"] | None = None,
    since: str | None = None,
    idempotency_key: str | None = None,
) -> Flow[Operation]:
    """Export cards to a file, to be downloaded once the operation is over.

    Args:
        format: json, ndjson, csv, markdown or zip.
        since: the watermark of an earlier export: only what changed since, with tombstones.
    """
    fields = {
        "format": format,
        "card_ids": _ids(card_ids),
        "privacy_levels": None if privacy_levels is None else list(privacy_levels),
        "categories": None if categories is None else list(categories),
        "published_only": published_only,
        "include_metadata": include_metadata,
        "compression": compression,
        "since": since,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return (yield from _started("/bulk/export", given, idempotency_key))


def delete(
    card_ids: Iterable[Id], *, soft_delete: bool = True, idempotency_key: str | None = None
) -> Flow[Operation]:
    """Delete up to 10,000 cards; hard deletes cannot be undone."""
    fields = {"card_ids": _ids(card_ids), "soft_delete": soft_delete}
    return (yield from _started("/bulk/delete", fields, idempotency_key))


def restore(card_ids: Iterable[Id], *, idempotency_key: str | None = None) -> Flow[Operation]:
    """Bring up to 10,000 softly deleted cards back."""
    return (yield from _started("/bulk/restore", {"card_ids": _ids(card_ids)}, idempotency_key))


def retry(task_id: Id, *, idempotency_key: str | None = None) -> Flow[Operation]:
    """Start a new operation of the failed items only."""
    return (yield from _started(_path(task_id, "retry"), None, idempotency_key))


def undo(task_id: Id, *, idempotency_key: str | None = None) -> Flow[Operation]:
    """Start the opposite: soft-delete what an import made, restore what a soft delete removed."""
    return (yield from _started(_path(task_id, "undo"), None, idempotency_key))


def cancel(task_id: Id, *, idempotency_key: str | None = None) -> Flow[Status]:
    """Stop an operation after the parts in flight. The status that follows from it."""
    response = yield from send(_post(_path(task_id, "cancel"), None, idempotency_key))
    return answers.status(response)


def status(task_id: Id, *, wait: int = 0) -> Flow[Status]:
    """Where an operation is. With ``wait`` (seconds, at most 60) answered as soon as it is over."""
    parameters = {"wait": str(wait)} if wait else {}
    request = Request(
        "GET", f"/bulk/status/{_quoted(task_id)}", parameters, read_timeout=wait + _PATIENCE_SECONDS
    )
    response = yield from send(request)
    return answers.status(response)


def wait(task_id: Id, *, timeout: float | None = None) -> Flow[Status]:
    """Wait until an operation is over; its final status, be it SUCCESS or FAILURE.

    Raises:
        WaitTimeout: when that takes longer than ``timeout`` seconds.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        began = time.monotonic()
        left = WAIT_SECONDS if end is None else max(0.0, min(WAIT_SECONDS, end - began))
        current = yield from status(task_id, wait=int(left))
        if current.is_final:
            return current
        now = time.monotonic()
        if end is not None and now >= end:
            raise WaitTimeout(str(task_id), timeout or 0)
        if now - began < left / 2 or left < 1:  # not waited for: look again in a moment
            yield Sleep(0.5 if end is None else min(0.5, max(0.0, end - now)))


def progress(task_id: Id, *, interval: float = 0.5) -> StreamFlow[Status]:
    """Each status that differs from the one before, the final one last.

    Asked for ever more rarely, at most every ``interval`` seconds in the end.
    """
    pause, last = min(0.05, interval), None
    while True:
        current = yield from status(task_id)
        if current != last:
            yield Emit(current)
            last = current
        if current.is_final:
            return
        yield Sleep(pause)
        pause = min(interval, pause * 1.5)


def list_all(
    *,
    kind: str | None = None,
    status: str | None = None,
    since: datetime | str | None = None,
    page_size: int = 100,
) -> StreamFlow[OperationSummary]:
    """The operations, newest first, fetched page by page."""
    since = since.isoformat() if isinstance(since, datetime) else since
    filters = {"kind": kind, "status": status, "since": since}
    return (yield from paged("/bulk/operations", filters, page_size, answers.summary))


def results(task_id: Id, *, page_size: int = 1000) -> StreamFlow[ItemResult]:
    """What became of every item, in the order they were sent."""
    return (yield from paged(_path(task_id, "results"), {}, page_size, answers.item_result))


def errors(task_id: Id) -> StreamFlow[ItemError]:
    """Every failed item, in the order they were sent, streamed; resumed behind the last one after a cut."""
    request = Request("GET", _path(task_id, "errors"), {"format": "ndjson"})
    policy: RetryPolicy = yield AskPolicy()
    emitted = failures = 0
    while True:
        yield from opened(request)
        seen, rest = 0, b""
        while True:
            chunk: bytes | Lost = yield Read()
            if isinstance(chunk, Lost):
                break
            *lines, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
            for line in filter(bytes.strip, lines):
                seen += 1
                if seen > emitted:
                    emitted, failures = seen, 0
                    yield Emit(answers.item_error(_parsed(line)))
            if not chunk:
                return
        failures += 1
        pause = policy.pause(failures)
        if pause is None:
            raise ConnectionFailed(chunk.reason)
        yield Sleep(pause)


def paged(
    path: str, filters: Mapping[str, str | None], page_size: int, parse: Callable[[dict[str, Any]], T]
) -> StreamFlow[T]:
    """All entries of a paged list."""
    parameters = {name: value for name, value in filters.items() if value is not None}
    parameters["page_size"] = str(page_size)
    while True:
        response = yield from send(Request("GET", path, parameters))
        entries, token = answers.page(response)
        for entry in entries:
            yield Emit(parse(entry))
        if token is None:
            return
        parameters["page_token"] = token


def _started(path: str, fields: dict[str, Any] | None, idempotency_key: str | None) -> Flow[Operation]:
    response = yield from send(_post(path, fields, idempotency_key))
    return answers.operation(response)


def _post(path: str, fields: dict[str, Any] | None, idempotency_key: str | None) -> Request:
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if fields is None:
        return Request("POST", path, headers=headers)
    headers["Content-Type"] = "application/json"
    return Request("POST", path, headers=headers, body=bodies.BytesBody(json.dumps(fields).encode()))


def _ids(ids: Iterable[Id] | None) -> list[str] | None:
    if isinstance(ids, str):
        raise TypeError("card_ids is a list of ids, not one id")
    return None if ids is None else [str(one) for one in ids]


def _path(task_id: Id, what: str) -> str:
    return f"/bulk/operations/{_quoted(task_id)}/{what}"


def _quoted(task_id: Id) -> str:
    return quote(str(task_id), safe="")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnexpectedAnswer("A line of the answer is not a JSON object.")
    return found
