"""The documented endpoints: import, export, delete, status; and restore, which undoes a delete."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from backend.api import schemas
from backend.api.bodies import read_json
from backend.api.dependencies import caller
from backend.api.preferences import wait_seconds
from backend.api.problems import errors
from backend.api.submissions import Post, checked, post, start
from backend.api.waiting import until_over
from backend.auth.store import Caller
from backend.core.errors import InvalidRequest, NotFound
from backend.core.ids import new_operation_id
from backend.core.settings import get_settings
from backend.core.texts import Texts
from backend.db.session import unit_of_work
from backend.formats.envelope import parse_envelope
from backend.operations import exporting, parts, report
from backend.operations.parts import Part
from backend.operations.state import FINAL
from backend.operations.store import NewOperation
from backend.operations.submit import Submission, sizes

router = APIRouter(tags=["bulk operations"])
_STARTS = errors(400, 401, 403, 408, 413, 415, 422, 429, 503)


def _json(model: type[BaseModel]) -> dict[str, Any]:
    """The request body in the OpenAPI document; it is read by hand, so that it can be read strictly."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/bulk/export",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_STARTS | errors(410),
    openapi_extra=_json(schemas.ExportBody),
    summary="Export cards to a file",
)
async def export_cards(
    request: Request, who: Annotated[Caller, Depends(caller("bulk:export", operation=True))]
) -> Response:
    """Writes one snapshot of the chosen cards into a file; download it once the operation is over."""
    body = await read_json(request)
    fields = parse_envelope(body, cards_key=None).fields
    return await run_in_threadpool(_export, post(request, who, body), fields)


def _export(request: Post, fields: dict[str, Any]) -> JSONResponse:
    options = exporting.validate_options(fields)
    with unit_of_work(request.who.user_id) as connection:
        expected = exporting.count(connection, request.who.user_id, options)
    new = NewOperation(new_operation_id(), request.who.user_id, "export", 1, options, request.who.key_id)
    return start(
        request,
        Submission(
            new,
            [Part(0, 0, expected, None)],
            f"Bulk export initiated in {options['format']} format",
            audit=lambda connection: request.audit(connection, "cards.export", new.id, None),
        ),
    )


@router.post(
    "/bulk/delete",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_STARTS,
    openapi_extra=_json(schemas.DeleteBody),
    summary="Delete cards, softly or for good",
)
async def delete_cards(
    request: Request, who: Annotated[Caller, Depends(caller("bulk:delete", operation=True))]
) -> Response:
    """Up to 10,000 ids; those that are not yours are reported one by one."""
    body = await read_json(request)
    fields = parse_envelope(body, cards_key=None).fields
    return await run_in_threadpool(_remove, post(request, who, body), fields, "delete")


@router.post(
    "/bulk/restore",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_STARTS,
    openapi_extra=_json(schemas.RestoreBody),
    summary="Bring softly deleted cards back",
)
async def restore_cards(
    request: Request, who: Annotated[Caller, Depends(caller("bulk:delete", operation=True))]
) -> Response:
    """Their published URLs come back with them; there is never a second award."""
    body = await read_json(request)
    fields = parse_envelope(body, cards_key=None).fields
    return await run_in_threadpool(_remove, post(request, who, body), fields, "restore")


def _remove(request: Post, fields: dict[str, Any], kind: str) -> JSONResponse:
    noun = {"delete": "deletion", "restore": "restoration"}[kind]
    ids = fields.get("card_ids")
    most = get_settings().max_cards_per_request
    if ids is None or ids == []:
        raise InvalidRequest(f"No card IDs provided for {noun}")
    # What is wrong with a single id is that id's error, not the request's.
    model = schemas.DeleteBody if kind == "delete" else schemas.RestoreBody
    sample = ["-"] if isinstance(ids, list) else ids
    options = checked(model, {**fields, "card_ids": sample}).model_dump(exclude={"card_ids"})
    if len(ids) > most:
        raise InvalidRequest(f"Maximum {most:,} cards per {kind} operation")
    records = Texts.of([json.dumps(one).encode() for one in ids])
    options["duplicates"] = _repeated(ids)
    new = NewOperation(
        new_operation_id(),
        request.who.user_id,
        kind,
        get_settings().runners_per_operation,
        options,
        request.who.key_id,
    )
    return start(
        request,
        Submission(
            new,
            parts.cut(records, sizes(get_settings())),
            f"Bulk {kind} initiated for {{count}} cards",
            audit=lambda connection: request.audit(
                connection, f"cards.{kind}", new.id, {"ids": len(records), **_shown(options)}
            ),
        ),
    )


def _shown(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "duplicates"}


def _repeated(ids: list[Any]) -> list[int]:
    """Indexes of ids that came before in the same request (UUIDs compare without case)."""
    seen: Counter[str] = Counter()
    repeated = []
    for index, one in enumerate(ids):
        if isinstance(one, str):
            seen[one.lower()] += 1
            if seen[one.lower()] > 1:
                repeated.append(index)
    return repeated


def _look(who: Caller, request: Request) -> dict[str, Any] | None:
    """The status, where there is such an operation."""
    try:
        return report.read(who.user_id, operation_uuid(request.path_params["task_id"]))
    except NotFound:
        return None


@router.get(
    "/bulk/status/{task_id}",
    response_model=schemas.Status,
    response_model_exclude_none=True,
    responses=errors(400, 401, 403, 404, 422, 429, 503),
    summary="Where an operation is",
)
async def get_status(
    request: Request,
    task_id: str,
    who: Annotated[Caller, Depends(caller("cards:read", look=_look))],
    wait: Annotated[float, Query(ge=0, le=60, description="Answer as soon as it is over.")] = 0,
) -> Response:
    """Progress is the sum of what is committed: exact, and it never goes back."""
    answer = request.state.looked
    seconds = wait or wait_seconds(request)
    if answer is not None and seconds and answer["status"] not in FINAL:
        await until_over(operation_uuid(task_id), seconds)
        answer = await run_in_threadpool(_look, who, request)
    if answer is None:
        raise NotFound("Operation not found")
    return JSONResponse(answer)


def operation_uuid(task_id: str) -> UUID:
    """An operation's id from a path; what is no UUID is as unknown as any other id.

    Raises:
        NotFound: when it is none.
    """
    try:
        return UUID(task_id)
    except ValueError:
        raise NotFound("Operation not found") from None
