"""Cards on their way out: the file of an export, and cards streamed straight from the database."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from backend.api import byte_ranges, schemas
from backend.api.dependencies import caller, client_ip
from backend.api.problems import errors
from backend.api.routes.bulk import operation_uuid
from backend.api.streaming import StreamedResponse
from backend.auth import audit
from backend.auth.store import Caller
from backend.core.errors import FieldError, Forbidden, RateLimited, ValidationFailed
from backend.core.settings import get_settings
from backend.db.session import unit_of_work
from backend.operations import downloads, report
from backend.operations.downloads import Download
from backend.operations.export_options import NAMES, ExportOptions, read_options
from backend.operations.export_stream import ExportStream

router = APIRouter(tags=["downloads"])
_bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", bearerFormat="extro_live_…")
_TYPES: dict[str, Any] = {
    media: {}
    for media in (
        "application/json",
        "application/x-ndjson",
        "text/csv",
        "text/markdown",
        "application/zip",
        "application/gzip",
        "application/zstd",
    )
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": _TYPES},
    206: {"description": "The part of it that was asked for."},
    304: {"description": "The caller has it already."},
    416: {"description": "No byte of that range exists."},
    **errors(401, 403, 404, 409, 410, 422, 429, 503),
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "The cards.", "content": _TYPES},
    **errors(400, 401, 403, 410, 422, 429, 503),
}
# Streams hold a connection as long as the reader takes; other requests need some too.
STREAMS_AT_ONCE = 5
_slots = threading.BoundedSemaphore(STREAMS_AT_ONCE)
WATERMARK = "Extrophi-Watermark"
LONGEST_URL_SECONDS = 7 * 86_400


async def _reader(
    request: Request,
    task_id: str,
    expires: Annotated[str | None, Query(description="Of a signed URL.")] = None,
    signature: Annotated[str | None, Query(description="Of a signed URL; no key is needed then.")] = None,
) -> UUID | None:
    """Whose operation may be read: the caller's, or with a valid signature this one (``None``)."""
    if signature is None:
        credentials = await _bearer(request)
        who: Caller = await caller("bulk:export")(request, credentials)
        return who.user_id
    if not downloads.is_signed(operation_uuid(task_id), expires or "", signature):
        raise Forbidden("This download address is not valid or has expired", code="invalid_signature")
    return None


@router.get(
    "/bulk/operations/{task_id}/download",
    responses=_FILE,
    response_class=Response,
    summary="The file of a finished export",
    openapi_extra={"security": [{"ApiKey": []}, {}]},
)
@router.head("/bulk/operations/{task_id}/download", include_in_schema=False)
async def download(
    request: Request, task_id: str, reader: Annotated[UUID | None, Depends(_reader)]
) -> Response:
    """Whole or in ranges, with its SHA-256; a compressed file is sent as it is stored."""
    file = await run_in_threadpool(downloads.find, reader, operation_uuid(task_id))
    headers = _headers(file)
    if byte_ranges.not_modified(file.artifact.etag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    size = file.artifact.size
    try:
        part = byte_ranges.wanted(
            size, file.artifact.etag, request.headers.get("range"), request.headers.get("if-range")
        )
    except byte_ranges.Unsatisfiable:
        return Response(
            status_code=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        )
    start, end = (0, size) if part is None else (part.start, part.end)
    if part is not None:
        headers["Content-Range"] = part.content_range
    headers["Content-Length"] = str(end - start)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    pieces = await run_in_threadpool(file.store.read, file.artifact.key, start, end)
    idle = get_settings().body_idle_timeout_seconds
    return StreamedResponse(pieces, headers, file.media_type, status=status, idle_seconds=idle)


def _headers(file: Download) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(file.artifact.sha256)).decode()
    return {
        "ETag": file.artifact.etag,
        "Last-Modified": format_datetime(file.finished_at.astimezone(UTC), usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{file.file_name}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Digest": f"SHA-256={digest}",
        "Cache-Control": "private, no-store",
    }


@router.get(
    "/bulk/operations/{task_id}/download-url",
    response_model=schemas.DownloadUrl,
    responses=errors(401, 403, 404, 409, 410, 422, 429, 503),
    summary="An address of the file that needs no key",
)
def download_address(
    request: Request,
    response: Response,
    task_id: str,
    who: Annotated[Caller, Depends(caller("bulk:export"))],
    seconds: Annotated[int | None, Query(ge=1, le=LONGEST_URL_SECONDS, description="How long.")] = None,
) -> schemas.DownloadUrl:
    """Give it to a browser, or to somebody else: it names this one file only, and expires."""
    operation = operation_uuid(task_id)
    downloads.find(who.user_id, operation)
    expires = int(time.time()) + (seconds or get_settings().download_url_seconds)
    response.headers["Cache-Control"] = "no-store"
    stamp = report.stamp(datetime.fromtimestamp(expires, UTC))
    with unit_of_work(who.user_id) as connection:
        audit.record(
            connection, who, "cards.share", operation, client_ip(request), {"expires_at": stamp},
            request_id=getattr(request.state, "request_id", None),
        )  # fmt: skip
    return schemas.DownloadUrl(url=downloads.signed_download_url(operation, expires), expires_at=stamp)


@router.get("/cards/export", responses=_STREAM, response_class=Response, summary="Cards, streamed")
async def export_cards(
    request: Request,
    who: Annotated[Caller, Depends(caller("cards:read"))],
    format: Annotated[str, Query(description="json, markdown, csv, ndjson or zip.")] = "json",
    compression: Annotated[str | None, Query(description="gzip or zstd: a compressed file.")] = None,
    include_metadata: Annotated[bool, Query()] = True,
    card_ids: Annotated[list[str] | None, Query()] = None,
    privacy_levels: Annotated[list[str] | None, Query()] = None,
    categories: Annotated[list[str] | None, Query()] = None,
    published_only: Annotated[bool, Query()] = False,
    tags: Annotated[list[str] | None, Query(description="Cards with any of them.")] = None,
    source_platforms: Annotated[list[str] | None, Query()] = None,
    created_after: Annotated[str | None, Query(description="RFC 3339; that moment or later.")] = None,
    created_before: Annotated[str | None, Query()] = None,
    updated_after: Annotated[str | None, Query()] = None,
    updated_before: Annotated[str | None, Query()] = None,
    since: Annotated[str | None, Query(description="The watermark of an earlier export.")] = None,
) -> Response:
    """The same formats and filters as an export, without an operation and without a file.

    ``Extrophi-Watermark`` is what a later call gives as ``since``, once this answer has arrived whole.
    """
    given = {
        "format": format, "compression": compression, "include_metadata": include_metadata,
        "card_ids": card_ids, "privacy_levels": privacy_levels, "categories": categories,
        "published_only": published_only, "tags": tags, "source_platforms": source_platforms,
        "created_after": created_after, "created_before": created_before,
        "updated_after": updated_after, "updated_before": updated_before, "since": since,
    }  # fmt: skip
    options = _read_query(request, given)
    encoding = _negotiated(request, options)
    from_where, request_id = client_ip(request), getattr(request.state, "request_id", None)

    def note() -> None:
        detail = {"format": options.format, "streamed": True}
        with unit_of_work(who.user_id) as connection:
            audit.record(connection, who, "cards.export", None, from_where, detail, request_id=request_id)

    return await run_in_threadpool(_start, who.user_id, options, encoding, note)


def _read_query(request: Request, given: dict[str, Any]) -> ExportOptions:
    unknown = [name for name in request.query_params if name not in NAMES]
    if unknown:  # a misspelt filter must not export everything
        problems = (FieldError("/query", "has a parameter that is not known"),)
        raise ValidationFailed("Query parameters are not valid", errors=problems)
    try:
        return read_options({name: value for name, value in given.items() if value is not None})
    except ValidationFailed as error:
        errors_ = tuple(FieldError(f"/query{one.pointer}", one.detail) for one in error.errors)
        raise ValidationFailed("Query parameters are not valid", errors=errors_) from None


def _negotiated(request: Request, options: ExportOptions) -> str | None:
    """The Content-Encoding that the caller accepts; none for a file that is compressed already."""
    if options.compression is not None or options.format == "zip":
        return None
    accepted = {}
    for entry in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = entry.strip().partition(";")
        accepted[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in ("zstd", "gzip") if accepted.get(name)), None)


def _start(owner: UUID, options: ExportOptions, encoding: str | None, note: Callable[[], None]) -> Response:
    """The first bytes decide the status: what fails before them is an error like any other.

    Args:
        note: writes the export into the audit log, before any byte of it leaves.
    """
    if not _slots.acquire(blocking=False):
        raise RateLimited(
            f"{STREAMS_AT_ONCE} exports are streaming already. Try again shortly, or use POST /bulk/export.",
            retry_after=2, limit=STREAMS_AT_ONCE, policy="streams",
        )  # fmt: skip
    stream = ExportStream(owner, options, encoding=encoding)
    chunks = iter(stream)
    try:
        first = next(chunks, b"")
        if stream.watermark is None:  # a header may have come before the snapshot was taken
            first += next(chunks, b"")
        note()
    except BaseException:
        _slots.release()
        raise
    headers = {
        "Content-Disposition": f'attachment; filename="{options.file_name(datetime.now(UTC))}"',
        "Vary": "Accept-Encoding",
        WATERMARK: stream.watermark or "",
    }
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    idle = get_settings().body_idle_timeout_seconds
    return StreamedResponse(
        chunks, headers, options.media_type, first=first, idle_seconds=idle, release=_slots.release
    )
