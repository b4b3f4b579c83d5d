"""API keys: made (shown once), listed, rotated with an overlap, revoked everywhere at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from backend.api import paging
from backend.api.bodies import read_json
from backend.api.dependencies import caller
from backend.api.problems import errors
from backend.api.submissions import Post, checked, post
from backend.auth import changes, store
from backend.auth.rotation import rotate
from backend.auth.scopes import Scope, require_all
from backend.auth.store import Caller, KeyInfo, NewKey
from backend.core.errors import FieldError, InvalidRequest, NotFound, ValidationFailed
from backend.core.settings import get_settings
from backend.db.session import unit_of_work
from backend.formats.envelope import parse_envelope
from backend.operations import idempotency
from backend.operations.idempotency import Answer
from backend.operations.report import stamp

router = APIRouter(prefix="/api/keys", tags=["API keys"])
MANAGE = "keys:manage"
LONGEST_OVERLAP_SECONDS = 30 * 86_400


class KeyBody(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=store.NAME_CHARACTERS, description="A label.")
    scopes: list[Scope] | None = Field(
        None,
        min_length=1,
        description="What it may do; at most what the calling key may, and by default that.",
    )
    expires_at: str | None = Field(None, description="RFC 3339 with an offset; never when left out.")


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 60.0 is the integer 60."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class RotationBody(BaseModel):
    """How to rotate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_seconds: Annotated[int, BeforeValidator(_whole)] = Field(
        86_400, ge=0, le=LONGEST_OVERLAP_SECONDS, description="How long the old key works beside the new one."
    )


class KeyLine(BaseModel):
    """What is shown of a key: never its secret."""

    id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    limits: dict[str, int]
    state: str = Field(examples=["active", "expired", "revoked"])
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None
    rotated_to: str | None = None


class KeyMade(KeyLine):
    """A key that was just made; ``key`` is its secret and is shown this once."""

    key: str


class KeyPage(BaseModel):
    """One page of keys, newest first."""

    keys: list[KeyLine]
    next_page_token: str | None = None


def _body(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


@router.post(
    "",
    status_code=201,
    response_model=KeyMade,
    responses=errors(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=_body(KeyBody, required=True),
    summary="Make an API key",
)
async def create_key(request: Request, who: Annotated[Caller, Depends(caller(MANAGE))]) -> Response:
    """Its secret is in this answer and nowhere else ever again. It can do no more than the calling key."""
    body = await read_json(request)
    wanted = checked(KeyBody, parse_envelope(body, cards_key=None).fields)
    return await run_in_threadpool(_create, post(request, who, body), wanted)


def _create(request: Post, wanted: KeyBody) -> JSONResponse:
    who = request.who
    scopes = who.scopes - {"admin"} if wanted.scopes is None else frozenset(wanted.scopes)
    require_all(who.scopes, scopes)
    expires_at = _time("/expires_at", wanted.expires_at)

    def make(connection: Connection, seed: bytes) -> NewKey:
        new = store.create_key(
            who.user_id, wanted.name, scopes, expires_at, who.limits, connection=connection, seed=seed
        )
        request.audit(connection, "key.create", new.id, {"scopes": list(new.info.scopes)})
        return new

    return _answer_once(request, make)


@router.get(
    "",
    response_model=KeyPage,
    response_model_exclude_none=True,
    responses=errors(400, 401, 403, 422, 429, 503),
    summary="Your API keys, newest first",
)
def list_keys(
    who: Annotated[Caller, Depends(caller(MANAGE))],
    page_size: Annotated[int, Query(description="At most 1,000.")] = 100,
    page_token: Annotated[str | None, Query()] = None,
) -> JSONResponse:
    """Revoked and expired ones included; without their secrets, which nobody has."""
    size = paging.page_size(page_size)
    position = paging.decode(page_token, str)
    with unit_of_work(who.user_id) as connection:
        before = None if position is None else _uuid(position[0])
        if position is not None and before is None:
            raise InvalidRequest("page_token is not valid")
        found = store.list_keys(connection, who.user_id, before=before, size=size + 1)
    answer: dict[str, Any] = {"keys": [_shown(one) for one in found[:size]]}
    if len(found) > size:
        answer["next_page_token"] = paging.encode(str(found[size - 1].id))
    return _private(answer)


@router.delete(
    "/{key_id}",
    status_code=204,
    responses=errors(401, 403, 404, 422, 429, 503),
    summary="Revoke an API key",
)
def revoke_key(request: Request, key_id: str, who: Annotated[Caller, Depends(caller(MANAGE))]) -> Response:
    """No process accepts it any more once this is answered. Revoking again is fine."""
    asked = post(request, who, b"")
    with unit_of_work(who.user_id) as connection:
        wanted = _known(key_id)
        key_hash = store.revoke(who.user_id, wanted, connection=connection)
        asked.audit(connection, "key.revoke", wanted)
    changes.announce(key_hash)
    return Response(status_code=204)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    response_model=KeyMade,
    responses=errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=_body(RotationBody, required=False),
    summary="Replace an API key",
)
async def rotate_key(
    request: Request, key_id: str, who: Annotated[Caller, Depends(caller(MANAGE))]
) -> Response:
    """A new key with the same name, scopes and lifetime; the old one works on for the overlap."""
    wanted = _known(key_id)
    body = await read_json(request) if _has_body(request) else b""
    options = checked(RotationBody, parse_envelope(body, cards_key=None).fields if body else {})
    return await run_in_threadpool(_rotate, post(request, who, body), wanted, options)


def _rotate(request: Post, key_id: UUID, options: RotationBody) -> JSONResponse:
    who = request.who
    changed: list[bytes] = []

    def make(connection: Connection, seed: bytes) -> NewKey:
        overlap = timedelta(seconds=options.overlap_seconds)
        new, old_hash = rotate(connection, who.user_id, key_id, overlap, held=who.scopes, seed=seed)
        changed.append(old_hash)
        detail = {"new_key": str(new.id), "overlap_seconds": options.overlap_seconds}
        request.audit(connection, "key.rotate", key_id, detail)
        return new

    answer = _answer_once(request, make)
    for old_hash in changed:
        changes.announce(old_hash)
    return answer


def _answer_once(request: Post, make: Callable[[Connection, bytes], NewKey]) -> JSONResponse:
    """Make a key; for a request sent again, the same key again.

    Its secret is not kept for that: what is kept under the Idempotency-Key is the seed that it is derived
    from together with the pepper.
    """
    owner = request.who.user_id
    kept_seconds = get_settings().idempotency_retention_seconds
    with unit_of_work(owner) as connection:
        if request.repeatable is not None:
            earlier = idempotency.claim(connection, owner, request.repeatable, kept_seconds)
            if earlier is not None:
                secret = store.secret_of(bytes.fromhex(earlier.body["seed"]))
                return _made(earlier.body["shown"], secret, {"Idempotency-Replayed": "true"})
        seed = secrets.token_bytes(32)
        new = make(connection, seed)
        shown = _shown(new.info)
        if request.repeatable is not None:
            kept = Answer(201, {"seed": seed.hex(), "shown": shown})
            idempotency.record(connection, owner, request.repeatable, kept)
    return _made(shown, new.key)


def _made(shown: dict[str, Any], key: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return _private({**shown, "key": key}, status=201, headers=headers)


def _private(
    body: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"} | (headers or {}))


def _shown(key: KeyInfo) -> dict[str, Any]:
    times = {
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "scopes": list(key.scopes),
        "limits": key.limits,
        "state": key.state,
        **{name: stamp(when) for name, when in times.items() if when is not None},
        **({} if key.rotated_to is None else {"rotated_to": str(key.rotated_to)}),
    }


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _known(key_id: str) -> UUID:
    """What is no UUID is as unknown as any other id."""
    wanted = _uuid(key_id)
    if wanted is None:
        raise NotFound("API key not found")
    return wanted


def _time(pointer: str, value: str | None) -> datetime | None:
    """A future time.

    Raises:
        ValidationFailed: with ``pointer``.
    """
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
        if when.tzinfo is not None and when > datetime.now(UTC):
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    problem = FieldError(pointer, "must be an RFC 3339 time with an offset, in the future")
    raise ValidationFailed("Request body is not valid", errors=(problem,))
