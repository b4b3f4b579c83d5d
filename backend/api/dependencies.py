"""Who calls: authenticated, within its rates and scopes, before a byte of the body is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from backend.auth import changes, lookup
from backend.auth.scopes import SCOPES, require
from backend.auth.store import Caller, hash_of
from backend.core.errors import Unauthenticated
from backend.limits import headers, quotas, wrong_keys
from backend.limits.quotas import charge_cards, refund_cards
from backend.limits.rates import Spent

__all__ = ["RATE_FIELDS", "caller", "charge_cards", "client_ip", "refund_cards"]

RATE_FIELDS = "rate_limit_fields"  # in request.state: header fields that the answer will carry
MOST_PAUSING = 2_000
_pausing = 0

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    bearerFormat="extro_live_…",
    description="An API key, from `POST /api/keys` or `extrophi keys create`.",
)


Look = Callable[[Caller, Request], Any]


@cache
def caller(
    scope: str, *, operation: bool = False, look: Look | None = None
) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the route its ``Caller``.

    Args:
        scope: what the key must be allowed to do.
        operation: the request starts an operation: it also counts against the rate of operations.
        look: what the route would begin with, done in the thread that is there already; what it returns is
            in ``request.state.looked``.

    The dependency raises:
        Unauthenticated: no, malformed, unknown, expired or revoked key.
        RateLimited: the key is over its rate.
        Forbidden: the key lacks the scope.
        Unavailable: PostgreSQL cannot be reached.
    """
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope}")

    async def authenticated(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        key_hash, reason = _plausible_hash(credentials)
        if key_hash is None:
            await _pause(request, reason)
            raise Unauthenticated

        def admitted() -> Caller:
            who, spent = _admit(key_hash, scope, operation)
            request.state.caller = who
            setattr(request.state, RATE_FIELDS, headers.of_standings(spent.standings))
            require(who.scopes, scope)
            request.state.looked = None if look is None else look(who, request)
            return who

        try:
            return await run_in_threadpool(admitted)
        except Unauthenticated:
            await _pause(request, "useless")
            raise

    return authenticated


def client_ip(request: Request) -> str | None:
    """The address that the request came from; behind a proxy that uvicorn trusts, the one it forwards for."""
    return None if request.client is None else request.client.host


def _plausible_hash(credentials: HTTPAuthorizationCredentials | None) -> tuple[bytes | None, str]:
    """The hash of a key that this installation can have made and did not refuse just now; else why not.

    All that happens here for a wrong key takes microseconds and touches neither PostgreSQL nor Redis.
    """
    if credentials is None:
        return None, "missing"
    if not lookup.is_plausible(credentials.credentials):
        return None, "malformed"
    key_hash = hash_of(credentials.credentials)
    return (None, "useless") if lookup.is_known_bad(key_hash) else (key_hash, "")


async def _pause(request: Request, reason: str) -> None:
    """Count a refusal, and let a flood wait: but never so many that their waiting is the harm."""
    global _pausing
    seconds = wrong_keys.note(client_ip(request), reason)
    if seconds and _pausing < MOST_PAUSING:
        _pausing += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            _pausing -= 1


def _admit(key_hash: bytes, scope: str, operation: bool) -> tuple[Caller, Spent]:
    """Look the key up where it is not remembered, and count the request.

    A remembered key is trusted only after a look at its mark in Redis, in the round trip that counts.
    """
    mark = changes.mark_of(key_hash)
    who = lookup.remembered(key_hash)
    if who is None:
        who = lookup.look_up(key_hash)
        return who, _count(who, scope, operation)
    spent = _count(who, scope, operation, mark)
    if spent.marked or not spent.counted:
        who = lookup.look_up(key_hash)
    if spent.marked:
        spent = _count(who, scope, operation)
    return who, spent


def _count(who: Caller, scope: str, operation: bool, mark: str = "") -> Spent:
    """A request that will be refused for its scope starts no operation, but is a request."""
    return quotas.count_request(who, operation=operation and scope in who.scopes, mark=mark)
