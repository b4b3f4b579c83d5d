"""Import: the documented JSON body, uploaded files, presets, and a preview that stores nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from backend.api import schemas
from backend.api.bodies import Upload, read_json, spool
from backend.api.dependencies import caller, charge_cards
from backend.api.problems import errors
from backend.api.submissions import (
    LARGE_AT_ONCE,
    Post,
    answered,
    checked,
    checked_query,
    post,
    stage,
    start,
)
from backend.auth.store import Caller
from backend.cards.reading import read_card
from backend.cards.schema import CardProblem
from backend.core.errors import InvalidRequest, PayloadTooLarge
from backend.core.ids import new_operation_id
from backend.core.settings import Settings, get_settings
from backend.core.texts import Texts
from backend.formats.base import Batch, Limits
from backend.formats.envelope import Envelope, look_into, parse_envelope, quick_envelope
from backend.formats.presets.registry import PRESETS
from backend.formats.preview import preview
from backend.formats.registry import source_for
from backend.formats.strict_json import Unsure
from backend.operations import parts
from backend.operations.store import NewOperation
from backend.operations.submit import Submission, replay, sizes

router = APIRouter(tags=["bulk operations"])
# Each kind for itself: a request of 10,000 cards does not wait for files of a million.
_bodies, _files = CapacityLimiter(LARGE_AT_ONCE), CapacityLimiter(LARGE_AT_ONCE)
_STARTS = errors(400, 401, 403, 408, 413, 415, 422, 429, 503)
_FILES = (
    "application/x-ndjson",
    "text/csv",
    "text/markdown",
    "application/zip",
    "application/octet-stream",
)
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
    "additionalProperties": {"type": "string", "description": "An option, as in the query."},
}
_BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ImportBody"}},
            **{media: {"schema": {"type": "string", "format": "binary"}} for media in _FILES},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
PREVIEW_ROWS = 20


@router.post(
    "/bulk/import",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_STARTS,
    openapi_extra=_BODIES,
    summary="Import cards",
)
async def import_cards(
    request: Request, who: Annotated[Caller, Depends(caller("bulk:import", operation=True))]
) -> Response:
    """JSON with up to 10,000 cards, or a file with up to a million, whose options are query parameters."""
    query = dict(request.query_params)
    if media_type_of(request) == "application/json" and "preset" not in query:
        body = await read_json(request)
        return await stage(_bodies, len(body), _import_json, post(request, who, body), body, query)
    async with await spool(request) as upload:
        size = upload.path.stat().st_size
        return await stage(_files, size, _import_file, post(request, who, upload.sha256), upload, query)


def media_type_of(request: Request) -> str:
    """The media type of a body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _import_json(request: Post, body: bytes, query: dict[str, str]) -> JSONResponse:
    # Cards are looked into while PostgreSQL takes those before them. Should one be wrong, it forgets them.
    try:
        return _import_cards(request, quick_envelope(body), query, look_into)
    except Unsure:
        return _import_cards(request, parse_envelope(body), query)


def _import_cards(
    request: Post,
    envelope: Envelope,
    query: dict[str, str],
    check: Callable[[Texts], None] | None = None,
) -> JSONResponse:
    settings = get_settings()
    if not envelope.cards:
        if envelope.cards is None and envelope.fields.get("cards") is not None:
            checked(schemas.ImportBody, envelope.fields)  # says what is wrong with it
        raise InvalidRequest("No cards provided for import")
    if len(envelope.cards) > settings.max_cards_per_request:
        raise InvalidRequest(f"Maximum {settings.max_cards_per_request:,} cards per import operation")
    fields = {name: value for name, value in envelope.fields.items() if name not in ("cards", "errors")}
    asked = checked_query(schemas.ImportOptions, query).model_dump(exclude_unset=True)
    options = checked(schemas.ImportOptions, {**asked, **fields}).model_dump()
    return start(
        request, _submission(request, options, parts.cut(envelope.cards, sizes(settings), check), "cards")
    )


def _submission(request: Post, options: dict[str, Any], staged: Any, noun: str, **more: Any) -> Submission:
    ordered = (
        options["dry_run"]
        or options["error_policy"] == "reject_everything"
        or options["on_duplicate"] != "create"
    )
    new = NewOperation(
        new_operation_id(),
        request.who.user_id,
        "import",
        1 if ordered else get_settings().runners_per_operation,
        options,
        request.who.key_id,
    )
    return Submission(
        new,
        staged,
        f"Bulk import initiated for {{count}} {noun}",
        charge=lambda count: charge_cards(request.who, count),
        **more,
    )


def _import_file(request: Post, upload: Upload, query: dict[str, str]) -> JSONResponse:
    settings = get_settings()
    options = checked_query(schemas.FileOptions, {**query, **upload.fields}).model_dump(exclude_none=True)
    preset = options.pop("preset", None)
    source = source_for(upload.media_type, preset, upload.file_name)
    earlier = replay(request.who.user_id, request.repeatable)
    if earlier is not None:
        return answered(earlier)
    records = _counted(source.batches(upload.path, upload.content_encoding, limits(settings)), settings)
    return start(
        request,
        _submission(
            request,
            options,
            parts.cut_stream(records, sizes(settings)),
            "cards",
            finish_options=lambda: {"source": {"name": source.name, "context": source.context()}},
        ),
    )


def limits(settings: Settings) -> Limits:
    """The caps on what a file may hold."""
    return Limits(
        max_decoded_bytes=settings.max_decoded_bytes,
        max_ratio=settings.max_decompression_ratio,
        max_entries=settings.max_archive_entries,
        max_record_bytes=settings.part_max_bytes,
    )


def _counted(batches: Iterator[Batch], settings: Settings) -> Iterator[Batch]:
    """The same records.

    Raises:
        InvalidRequest: when there is none.
        PayloadTooLarge: beyond the most that one file may hold.
    """
    count = 0
    for batch in batches:
        count += len(batch.rows)
        if count > settings.max_cards_per_file:
            raise PayloadTooLarge(f"Maximum {settings.max_cards_per_file:,} cards per file")
        yield batch
    if not count:
        raise InvalidRequest("No cards provided for import")


@router.post(
    "/bulk/import/preview",
    response_model=schemas.Preview,
    response_model_exclude_none=True,
    responses=_STARTS,
    openapi_extra=_BODIES,
    summary="The first rows of a file as cards, nothing stored",
)
async def preview_file(request: Request, who: Annotated[Caller, Depends(caller("bulk:import"))]) -> Response:
    """Reads no further than it shows: a file of any size is answered at once."""
    query = dict(request.query_params)
    async with await spool(request) as upload:
        return await run_in_threadpool(_preview, upload, query)


def _preview(upload: Upload, query: dict[str, str]) -> JSONResponse:
    options = checked_query(schemas.FileOptions, {**query, **upload.fields}).model_dump(exclude_none=True)
    source = source_for(upload.media_type, options.pop("preset", None), upload.file_name)
    shown = preview(
        source, upload.path, upload.content_encoding, options, limits(get_settings()), PREVIEW_ROWS
    )
    return JSONResponse({"rows": [_validated(row) for row in shown]})


def _validated(row: dict[str, Any]) -> dict[str, Any]:
    """A previewed row, with the error its card would get."""
    line = {name: value for name, value in row.items() if value is not None}
    if "card" in line:
        found = read_card(json.dumps(line["card"]).encode())
        if isinstance(found, CardProblem):
            line |= {"code": found.code, "message": found.message}
            line |= {"field": found.field} if found.field else {}
            if found.code == "unstorable":
                del line["card"]
    return line


@router.get(
    "/bulk/presets",
    response_model=schemas.PresetList,
    responses=errors(401, 403, 429, 503),
    summary="Products whose files can be imported",
)
def list_presets(who: Annotated[Caller, Depends(caller("bulk:import"))]) -> JSONResponse:
    """Each with an example of its format."""
    return JSONResponse(
        {
            "presets": [
                {
                    "name": preset.name,
                    "title": preset.title,
                    "description": preset.description,
                    "media_types": list(preset.media_types),
                    "extensions": list(preset.extensions),
                    "example": asdict(preset.example),
                }
                for preset in PRESETS.values()
            ]
        }
    )
