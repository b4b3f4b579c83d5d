"""From a read body to an accepted operation: what every POST that starts one has in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection

from backend.api.dependencies import client_ip
from backend.auth import audit
from backend.auth.store import Caller
from backend.core.errors import FieldError, InvalidRequest, ValidationFailed
from backend.core.failpoints import hit
from backend.operations.idempotency import Answer, Repeatable
from backend.operations.submit import Submission, replay, submit
from backend.queue import dispatch

LONGEST_KEY = 255
LARGE_BYTES = 1024 * 1024
LARGE_AT_ONCE = 4
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Post:
    """A POST as the threads that work on it see it."""

    who: Caller
    repeatable: Repeatable | None
    client_ip: str | None
    request_id: str | None

    def audit(
        self, connection: Connection, action: str, target: UUID, detail: dict[str, Any] | None = None
    ) -> None:
        """Record it in the audit log, in the transaction of what it does."""
        audit.record(connection, self.who, action, target, self.client_ip, detail, request_id=self.request_id)


def post(request: Request, who: Caller, body: bytes) -> Post:
    """Read what a POST carries beside its body.

    Args:
        body: the body's bytes, or its hash where it is a file.

    Raises:
        InvalidRequest: for an Idempotency-Key that is empty, too long or not printable ASCII.
    """
    return Post(
        who, repeatable(request, body), client_ip(request), getattr(request.state, "request_id", None)
    )


def repeatable(request: Request, body: bytes) -> Repeatable | None:
    """The Idempotency-Key, bare or quoted (RFC 8941), and a hash over all that the request asks for."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(f"Idempotency-Key must have 1 to {LONGEST_KEY} printable ASCII characters")
    query = sorted(request.query_params.multi_items())
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    head = "\n".join((request.method, request.url.path, repr(query), media_type))
    return Repeatable(key, hashlib.sha256(head.encode() + b"\n" + hashlib.sha256(body).digest()).digest())


async def stage(limiter: CapacityLimiter, size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Run ``work`` in a thread: it takes a body apart and stages it.

    That keeps a connection, memory and Python's lock busy all the while, and more at once are no faster. Of
    those with more than ``LARGE_BYTES`` only as many run as the limiter has tokens (``LARGE_AT_ONCE``); the
    others wait without a thread and without a connection.
    """
    return await to_thread.run_sync(
        partial(work, *arguments), limiter=limiter if size > LARGE_BYTES else None
    )


def start(request: Post, submission: Submission) -> JSONResponse:
    """Accept the operation, wake workers, answer 202 (or the first answer again)."""
    answer = replay(request.who.user_id, request.repeatable)
    if answer is None:
        answer = submit(submission, request.repeatable)
    return answered(answer)


def answered(answer: Answer) -> JSONResponse:
    """The answer as HTTP; wakes workers when the operation is new."""
    headers = {"Location": answer.body["check_status_url"], "Retry-After": "1"}
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    else:
        dispatch.wake(UUID(answer.body["task_id"]), answer.runners)
        hit("submit.after_publish")
    return JSONResponse(answer.body, status_code=answer.status, headers=headers)


def checked(model: type[Model], fields: dict[str, Any]) -> Model:
    """``fields`` as a model.

    Raises:
        ValidationFailed: with a pointer to each wrong field; the input is never echoed.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ValidationFailed("Request body is not valid", errors=_pointers(error)) from None


def checked_query(model: type[Model], values: dict[str, str]) -> Model:
    """Query parameters as a model; numbers and booleans come as text.

    Raises:
        ValidationFailed: as for ``checked``.
    """
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        raise ValidationFailed("Query parameters are not valid", errors=_pointers(error)) from None


def _pointers(error: ValidationError) -> tuple[FieldError, ...]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        FieldError(
            "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in entry["loc"]),
            entry["msg"],
        )
        for entry in found[:20]
    )
