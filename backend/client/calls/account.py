"""Calls about the account: tokens, keys; and whether the service is well."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from backend.client import answers, bodies
from backend.client.calls.operations import paged
from backend.client.models import Balance, Key, LedgerEntry, NewKey
from backend.client.retries import send
from backend.client.wire import Flow, Request, StreamFlow


def balance() -> Flow[Balance]:
    """The $EXTROPY balance."""
    response = yield from send(Request("GET", "/tokens/balance"))
    return answers.balance(response)


def ledger(*, page_size: int = 100) -> StreamFlow[LedgerEntry]:
    """Every row of the ledger, newest first, fetched page by page."""
    return (yield from paged("/tokens/ledger", {}, page_size, answers.ledger_entry))


def keys(*, page_size: int = 100) -> StreamFlow[Key]:
    """The owner's API keys, without their secrets."""
    return (yield from paged("/api/keys", {}, page_size, answers.key))


def create_key(
    name: str,
    *,
    scopes: Iterable[str] | None = None,
    expires_at: datetime | str | None = None,
    idempotency_key: str | None = None,
) -> Flow[NewKey]:
    """Make an API key. Its secret is in the answer, and nowhere else ever again."""
    fields: dict[str, Any] = {"name": name}
    if scopes is not None:
        fields["scopes"] = list(scopes)
    if expires_at is not None:
        fields["expires_at"] = expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    body = bodies.BytesBody(json.dumps(fields).encode())
    response = yield from send(Request("POST", "/api/keys", headers=headers, body=body))
    return answers.new_key(response)


def revoke_key(key_id: str | uuid.UUID) -> Flow[None]:
    """Make a key useless at once, everywhere."""
    yield from send(Request("DELETE", f"/api/keys/{quote(str(key_id), safe='')}"))


def health() -> Flow[dict[str, Any]]:
    """What ``GET /bulk/health`` says.

    Raises:
        Unavailable: when it is degraded.
    """
    response = yield from send(Request("GET", "/bulk/health", authorize=False))
    return answers.document(response)
