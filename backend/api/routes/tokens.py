"""$EXTROPY: the balance, and the ledger it is the sum of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from backend.api import paging, schemas
from backend.api.dependencies import caller
from backend.api.problems import errors
from backend.auth.store import Caller
from backend.core.errors import InvalidRequest
from backend.db.session import unit_of_work
from backend.ledger import rewards
from backend.ledger import store as ledger

router = APIRouter(prefix="/tokens", tags=["tokens"])


@router.get(
    "/balance",
    response_model=schemas.BalanceBody,
    responses=errors(401, 403, 429, 503),
    summary="Your $EXTROPY balance",
)
def get_balance(who: Annotated[Caller, Depends(caller("cards:read"))]) -> JSONResponse:
    """A string with eight decimals: never a float."""
    with unit_of_work(who.user_id) as connection:
        amount = ledger.balance(connection, who.user_id)
    return JSONResponse({"balance": rewards.as_text(amount)})


@router.get(
    "/ledger",
    response_model=schemas.LedgerPage,
    response_model_exclude_none=True,
    responses=errors(400, 401, 403, 422, 429, 503),
    summary="Your ledger, newest first",
)
def list_ledger(
    who: Annotated[Caller, Depends(caller("cards:read"))],
    page_size: Annotated[int, Query(description="At most 1,000.")] = 100,
    page_token: Annotated[str | None, Query()] = None,
) -> JSONResponse:
    """Every award, once for ever per card."""
    size = paging.page_size(page_size)
    with unit_of_work(who.user_id) as connection:
        found = ledger.page(connection, who.user_id, size + 1, _position(page_token))
    answer: dict[str, Any] = {
        "entries": [
            {
                "card_id": str(row.card_id),
                "operation_id": str(row.operation_id),
                "amount": rewards.as_text(row.amount),
                "reason": row.reason,
                "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
            }
            for row in found[:size]
        ]
    }
    if len(found) > size:
        last = found[size - 1]
        answer["next_page_token"] = paging.encode(last.created_at.isoformat(), str(last.card_id))
    return JSONResponse(answer)


def _position(token: str | None) -> tuple[datetime, UUID] | None:
    position = paging.decode(token, str, str)
    if position is None:
        return None
    try:
        at = datetime.fromisoformat(position[0])
        if at.tzinfo is None:
            raise ValueError
        return at, UUID(position[1])
    except ValueError:
        raise InvalidRequest("page_token is not valid") from None
