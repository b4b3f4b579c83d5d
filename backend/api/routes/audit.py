"""The audit log, for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from backend.api import paging
from backend.api.dependencies import caller
from backend.api.problems import errors
from backend.auth import audit
from backend.auth.store import Caller
from backend.core.errors import InvalidRequest
from backend.db.session import unit_of_work

router = APIRouter(tags=["audit"])


class AuditLine(BaseModel):
    """Who did what, when, from where."""

    id: str
    at: str
    action: str
    user_id: str | None = None
    api_key_id: str | None = None
    target: str | None = None
    client_ip: str | None = None
    request_id: str | None = None
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """One page of the audit log, newest first."""

    entries: list[AuditLine]
    next_page_token: str | None = None


@router.get(
    "/audit",
    response_model=AuditPage,
    response_model_exclude_none=True,
    responses=errors(400, 401, 403, 422, 429, 503),
    summary="The audit log of the whole installation, newest first",
)
def list_audit(
    who: Annotated[Caller, Depends(caller("admin"))],
    action: Annotated[str | None, Query(description="One of: " + ", ".join(audit.ACTIONS))] = None,
    user_id: Annotated[str | None, Query(description="Who acted.")] = None,
    since: Annotated[str | None, Query(description="RFC 3339 with an offset.")] = None,
    page_size: Annotated[int, Query(description="At most 1,000.")] = 100,
    page_token: Annotated[str | None, Query()] = None,
) -> JSONResponse:
    """Append-only. It names ids, never the text of a card."""
    size = paging.page_size(page_size)
    position = paging.decode(page_token, int)
    if action is not None and action not in audit.ACTIONS:
        raise InvalidRequest(f"Invalid action. Must be one of: {', '.join(audit.ACTIONS)}")
    with unit_of_work() as connection:  # over all owners: no row-level security
        found = audit.page(
            connection,
            before=None if position is None else max(0, min(position[0], 2**62)),
            size=size + 1,
            user_id=_user(user_id),
            action=action,
            since=_since(since),
        )
    answer: dict[str, Any] = {"entries": [_shown(one) for one in found[:size]]}
    if len(found) > size:
        answer["next_page_token"] = paging.encode(found[size - 1].id)
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _shown(entry: audit.Entry) -> dict[str, Any]:
    fields = {
        "id": str(entry.id),
        "at": entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "action": entry.action,
        "user_id": None if entry.user_id is None else str(entry.user_id),
        "api_key_id": None if entry.api_key_id is None else str(entry.api_key_id),
        "target": entry.target,
        "client_ip": entry.client_ip,
        "request_id": entry.request_id,
        "detail": entry.detail,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _user(value: str | None) -> UUID | None:
    try:
        return None if value is None else UUID(value)
    except ValueError:
        raise InvalidRequest("user_id is not a UUID") from None


def _since(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise InvalidRequest("since must be an RFC 3339 time with an offset")
    return when
