"""Errors as HTTP: RFC 9457 problem documents. The only place where errors meet status codes."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from backend.api.allowed import methods_of
from backend.core import errors as e
from backend.db.session import is_down, is_transient
from backend.limits import headers as rate_headers

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "https://docs.extrophi.ai/errors/"
RETRY_SECONDS = "5"

STATUS: dict[type[e.ExtrophiError], int] = {
    e.InvalidRequest: 400,
    e.MalformedBody: 400,
    e.Unauthenticated: 401,
    e.Forbidden: 403,
    e.NotFound: 404,
    e.RequestTimeout: 408,
    e.Conflict: 409,
    e.Gone: 410,
    e.PayloadTooLarge: 413,
    e.UnsupportedMedia: 415,
    e.ValidationFailed: 422,
    e.IdempotencyMismatch: 422,
    e.RateLimited: 429,
    e.Unavailable: 503,
}
_CODES = {404: "not_found", 405: "method_not_allowed", 400: "invalid_request", 408: "request_timeout"}
log = structlog.get_logger(__name__)


class Pointer(BaseModel):
    """One thing wrong with a request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or /query/name.")
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457). The input is never echoed."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Pointer] | None = None


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: the problems that it can answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every expected error of this app as a problem document; ``middleware`` answers the others."""
    app.add_exception_handler(e.ExtrophiError, _domain)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)


def problem(
    request: Request,
    status: int,
    detail: str,
    code: str,
    *,
    pointers: tuple[e.FieldError, ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem document. Pure ASCII, so that no text in it can fail to be encoded."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + code.replace("_", "-"),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if pointers:
        body["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in pointers]
    return Response(json.dumps(body).encode(), status, headers, MEDIA_TYPE)


def status_of(error: e.ExtrophiError) -> int:
    """The status of a domain error: its own, or that of the class it is derived from."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, e.ExtrophiError)
    status = status_of(error)
    if status == 500:
        return await unexpected(request, error)
    headers: dict[str, str] = {}
    if isinstance(error, e.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, e.RateLimited):
        headers |= rate_headers.of_refusal(error)
    elif status == 503:
        headers["Retry-After"] = RETRY_SECONDS
    return problem(request, status, error.detail, error.instance_code, pointers=error.errors, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """FastAPI's own handler echoes the input, and fails on input that is not UTF-8 (fastapi's default)."""
    assert isinstance(error, RequestValidationError)
    found = tuple(
        e.FieldError("/" + "/".join(str(step) for step in entry["loc"]), str(entry["msg"]))
        for entry in error.errors()[:20]
    )
    return problem(request, 422, "Request is not valid", e.ValidationFailed.code, pointers=found)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request")
    detail = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = methods_of(request.app.routes, request.scope["path"])
    return problem(request, error.status_code, detail, code, headers=headers)


async def unexpected(request: Request, error: Exception) -> Response:
    """503 when it is the database's state, else 500, which says no more than the request's id; logged."""
    if is_down(error) or is_transient(error):
        detail = "The database is not available. Try again shortly."
        return problem(request, 503, detail, e.Unavailable.code, headers={"Retry-After": RETRY_SECONDS})
    log.error("request.failed", path=request.url.path, exc_info=error)
    request_id = getattr(request.state, "request_id", "")
    return problem(
        request, 500, f"Something went wrong on our side. Request id: {request_id}", "internal_error"
    )
