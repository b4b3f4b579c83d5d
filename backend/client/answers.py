"""Pure: answers of the API -> models. Unknown fields are kept in ``raw`` and otherwise ignored."""

from __future__ import annotations

import json
from typing import Any

from backend.client import models as m
from backend.client.errors import UnexpectedAnswer
from backend.client.wire import Response


def document(response: Response) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        UnexpectedAnswer: when there is none.
    """
    try:
        found = json.loads(response.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnexpectedAnswer(f"The answer ({response.status}) is not a JSON object. Is this the right URL?")
    return found


def operation(response: Response) -> m.Operation:
    raw = document(response)
    return m.Operation(
        id=_required(raw, "task_id"),
        message=str(raw.get("message", "")),
        estimated_duration_seconds=raw.get("estimated_duration_seconds"),
        is_replay=response.headers.get("idempotency-replayed", "").lower() == "true",
        raw=raw,
    )


def status(response: Response) -> m.Status:
    return status_from(document(response))


def status_from(raw: dict[str, Any]) -> m.Status:
    progress = raw.get("progress")
    return m.Status(
        id=_required(raw, "task_id"),
        state=_required(raw, "status"),
        progress=m.Progress(progress["current"], progress["total"], progress["percent"])
        if progress
        else None,
        result=raw.get("result"),
        error=raw.get("error"),
        completed_at=raw.get("completed_at"),
        raw=raw,
    )


def summary(raw: dict[str, Any]) -> m.OperationSummary:
    return m.OperationSummary(
        id=_required(raw, "task_id", "id"),
        kind=str(raw.get("kind", "")),
        state=_required(raw, "state", "status"),
        created_at=raw.get("created_at"),
        raw=raw,
    )


def item_error(raw: dict[str, Any]) -> m.ItemError:
    return m.ItemError(
        index=int(raw["index"]),
        code=str(raw.get("code", "")),
        message=str(raw.get("message", "")),
        field=raw.get("field"),
        row=raw.get("row"),
        card=raw.get("card"),
        raw=raw,
    )


def item_result(raw: dict[str, Any]) -> m.ItemResult:
    return m.ItemResult(
        index=int(raw["index"]),
        outcome=_required(raw, "outcome"),
        card_id=raw.get("card_id"),
        raw=raw,
    )


def balance(response: Response) -> m.Balance:
    raw = document(response)
    return m.Balance(_required(raw, "balance"), raw)


def ledger_entry(raw: dict[str, Any]) -> m.LedgerEntry:
    return m.LedgerEntry(
        amount=_required(raw, "amount"),
        reason=str(raw.get("reason", "")),
        card_id=raw.get("card_id"),
        operation_id=raw.get("operation_id"),
        created_at=raw.get("created_at"),
        raw=raw,
    )


def key(raw: dict[str, Any]) -> m.Key:
    return m.Key(
        id=_required(raw, "id"), name=str(raw.get("name", "")), prefix=str(raw.get("prefix", "")), raw=raw
    )


def new_key(response: Response) -> m.NewKey:
    raw = document(response)
    secret = _required(raw, "key")
    return m.NewKey(id=_required(raw, "id"), prefix=str(raw.get("prefix", "")), key=secret, raw=raw)


def page(response: Response) -> tuple[list[dict[str, Any]], str | None]:
    """The objects of one page of a list (the one array in the answer) and the token of the next page."""
    raw = document(response)
    lists = [value for value in raw.values() if isinstance(value, list)]
    if len(lists) != 1:
        raise UnexpectedAnswer("The answer is not one page of a list.")
    return lists[0], raw.get("next_page_token") or None


def _required(raw: dict[str, Any], *names: str) -> str:
    for name in names:
        if isinstance(raw.get(name), str):
            return str(raw[name])
    raise UnexpectedAnswer(f"The answer lacks the field {names[0]}.")
