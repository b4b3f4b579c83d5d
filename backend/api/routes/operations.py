"""A caller's operations: list, cancel, retry, undo, and what became of every item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from backend.api import paging, schemas
from backend.api.dependencies import caller
from backend.api.problems import errors
from backend.api.routes.bulk import operation_uuid
from backend.api.submissions import Post, answered, post
from backend.auth.scopes import require
from backend.auth.store import Caller
from backend.core.errors import InvalidRequest, NotFound
from backend.db.session import unit_of_work
from backend.formats import errors_file
from backend.formats.errors_file import ErrorsFormat, Origin
from backend.operations import actions, report, store
from backend.operations.idempotency import Answer
from backend.operations.state import FINAL
from backend.operations.store import Operation
from backend.operations.submit import replay

router = APIRouter(prefix="/bulk/operations", tags=["operations"])
_READS = errors(400, 401, 403, 404, 422, 429, 503)
_ACTS = errors(400, 401, 403, 404, 409, 413, 422, 429, 503)
_STARTED_WITH = {
    "import": "bulk:import",
    "export": "bulk:export",
    "delete": "bulk:delete",
    "restore": "bulk:delete",
}
_FILES = {
    "json": ("application/json", "json"),
    "ndjson": ("application/x-ndjson", "ndjson"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "markdown": ("text/markdown; charset=utf-8", "md"),
    "zip": ("application/zip", "zip"),
}


@router.get(
    "",
    response_model=schemas.OperationPage,
    response_model_exclude_none=True,
    responses=_READS,
    summary="Your operations, newest first",
)
def list_operations(
    who: Annotated[Caller, Depends(caller("cards:read"))],
    kind: Annotated[Literal["import", "export", "delete", "restore"] | None, Query()] = None,
    status: Annotated[
        Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "CANCELLED"] | None, Query()
    ] = None,
    since: Annotated[schemas.Moment | None, Query(description="Created at or after; RFC 3339.")] = None,
    page_size: Annotated[int, Query(description="At most 1,000.")] = 50,
    page_token: Annotated[str | None, Query()] = None,
) -> Response:
    """``state`` is the finer one: it tells CANCELLED from FAILURE."""
    before = _id_of(page_token)
    size = paging.page_size(page_size)
    if since is not None and since.tzinfo is None:
        raise InvalidRequest("since needs a time zone")
    with unit_of_work(who.user_id) as connection:
        found = store.page(
            connection, who.user_id, size + 1, before=before, kind=kind, state=status, since=since
        )
        shown = found[:size]
        sums = store.totals_of(connection, [one.id for one in shown if one.state not in FINAL])
        lines = [report.listed(one, sums.get(one.id)) for one in shown]
    answer: dict[str, Any] = {"operations": lines}
    if len(found) > size:
        answer["next_page_token"] = paging.encode(str(shown[-1].id))
    return JSONResponse(answer)


def _id_of(token: str | None) -> UUID | None:
    position = paging.decode(token, str)
    try:
        return None if position is None else UUID(position[0])
    except ValueError:
        raise InvalidRequest("page_token is not valid") from None


@router.post(
    "/{task_id}/cancel",
    response_model=schemas.Status,
    response_model_exclude_none=True,
    responses=_ACTS,
    summary="Stop after the parts in flight",
)
async def cancel_operation(
    request: Request, task_id: str, who: Annotated[Caller, Depends(caller("bulk:import"))]
) -> Response:
    """What was done until then stays, and can be undone."""
    return await run_in_threadpool(_cancel, post(request, who, b""), operation_uuid(task_id))


def _cancel(request: Post, operation_id: UUID) -> JSONResponse:
    _may(request.who, operation_id)
    owner = actions.Caller(request.who.user_id, request.who.key_id)

    def answer_of(connection: Connection) -> Answer:
        request.audit(connection, "operation.cancel", operation_id)
        return Answer(200, report.current(connection, owner.owner, operation_id) or {})

    answer = actions.cancel(owner, operation_id, request.repeatable, answer_of)
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return JSONResponse(answer.body, answer.status, headers=headers)


@router.post(
    "/{task_id}/retry",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_ACTS,
    summary="A new operation of the failed items only",
)
async def retry_operation(
    request: Request,
    task_id: str,
    who: Annotated[Caller, Depends(caller("bulk:import", operation=True))],
) -> Response:
    """The items are taken as they were sent; fix them with the errors file where they are at fault."""
    return await run_in_threadpool(_retry, post(request, who, b""), operation_uuid(task_id))


def _retry(request: Post, operation_id: UUID) -> JSONResponse:
    _may(request.who, operation_id)
    owner = actions.Caller(request.who.user_id, request.who.key_id)
    earlier = replay(owner.owner, request.repeatable)
    return answered(earlier or actions.retry(owner, operation_id, request.repeatable))


def _may(who: Caller, operation_id: UUID) -> None:
    """A key that can only import neither retries nor stops what it could not have started.

    Raises:
        NotFound: no such operation of this owner.
        Forbidden: the key lacks the scope that starts operations of this kind.
    """
    require(who.scopes, _STARTED_WITH[_owned(who.user_id, str(operation_id)).kind])


@router.post(
    "/{task_id}/undo",
    status_code=202,
    response_model=schemas.Accepted,
    responses=_ACTS,
    summary="Take back an import or a soft delete",
)
async def undo_operation(
    request: Request,
    task_id: str,
    who: Annotated[Caller, Depends(caller("bulk:delete", operation=True))],
) -> Response:
    """Soft-deletes exactly what the import made, or restores exactly what the delete removed."""
    return await run_in_threadpool(_undo, post(request, who, b""), operation_uuid(task_id))


def _undo(request: Post, operation_id: UUID) -> JSONResponse:
    owner = actions.Caller(request.who.user_id, request.who.key_id)
    earlier = replay(owner.owner, request.repeatable)

    def audit(connection: Connection) -> None:
        request.audit(connection, "operation.undo", operation_id)

    return answered(earlier or actions.undo(owner, operation_id, request.repeatable, audit))


@router.get(
    "/{task_id}/errors",
    response_model=schemas.ErrorList,
    responses=_READS | {200: {"content": {media.partition(";")[0]: {} for media, _ in _FILES.values()}}},
    summary="Failed items",
)
def list_errors(
    task_id: str,
    who: Annotated[Caller, Depends(caller("cards:read"))],
    format: Annotated[ErrorsFormat, Query()] = "json",
) -> Response:
    """Each as it was sent. Fix the file and import it again as it is."""
    operation = _owned(who.user_id, task_id)
    media_type, suffix = _FILES[format]
    headers = {"Content-Disposition": f'attachment; filename="errors-{operation.id}.{suffix}"'}
    return StreamingResponse(_errors(operation, format), media_type=media_type, headers=headers)


def _errors(operation: Operation, format: ErrorsFormat) -> Iterator[bytes]:
    source = operation.options.get("source") or {"name": "json", "context": {}}
    origin = Origin(source["name"], source["context"], operation.options)
    with unit_of_work(operation.user_id) as connection:
        failed = (
            (error.index, error.row, error.field, error.code, error.message, error.record or b"null")
            for error in report.every_error(connection, operation.id)
        )
        yield from errors_file.write(format, origin, failed)


@router.get(
    "/{task_id}/results",
    response_model=schemas.ResultPage,
    response_model_exclude_none=True,
    responses=_READS,
    summary="What became of every item",
)
def list_results(
    task_id: str,
    who: Annotated[Caller, Depends(caller("cards:read"))],
    page_size: Annotated[int, Query(description="At most 10,000.")] = 1_000,
    page_token: Annotated[str | None, Query()] = None,
) -> Response:
    """By index, in input order."""
    operation = _owned(who.user_id, task_id)
    position = paging.decode(page_token, int)
    start = max(0, min(position[0], operation.total_items)) if position else 0
    size = paging.page_size(page_size, 10_000)
    with unit_of_work(who.user_id) as connection:
        lines = report.results(connection, operation, start, size)
    answer: dict[str, Any] = {"results": lines}
    if start + size < operation.total_items:
        answer["next_page_token"] = paging.encode(start + size)
    return JSONResponse(answer)


def _owned(owner: UUID, task_id: str) -> Operation:
    with unit_of_work(owner) as connection:
        operation = store.get(connection, owner, operation_uuid(task_id))
    if operation is None:
        raise NotFound("Operation not found")
    return operation
