"""Around every request: its id, its log line, its time, the headers of its answer. Pure ASGI.

Errors that nobody expected are answered here too: Starlette answers them outside of every middleware, where
they would carry none of these headers.
"""

from __future__ import annotations

import re
import time
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api import problems
from backend.api.dependencies import RATE_FIELDS
from backend.api.metrics import REQUEST_SECONDS
from backend.core.ids import new_id

# Nothing inline, nothing from elsewhere: the API's own pages keep to it too.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
log = structlog.get_logger("backend.api.access")


class AroundRequests:
    """Binds a request id, adds headers, logs one line and counts the time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = _request_id(request)
        request.state.request_id = request_id
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request, request_id)
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if status:  # half an answer was sent: only breaking the connection off says so
                raise
            response = await problems.unexpected(request, error)
            await response(scope, receive, answer)
        finally:
            _note(scope, status or 500, time.perf_counter() - began)


def _request_id(request: Request) -> str:
    """The caller's own id where it is harmless, else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _OWN_ID.fullmatch(given) else str(new_id())


def _add_headers(headers: MutableHeaders, request: Request, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    # Personal data is not kept by anybody on the way; what may be cached says so itself.
    headers.setdefault("Cache-Control", "no-store")
    rates: dict[str, str] = getattr(request.state, RATE_FIELDS, {})
    for name, value in rates.items():
        headers.setdefault(name, value)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route: Any = scope.get("route")
    path = getattr(route, "path", "unmatched")
    REQUEST_SECONDS.labels(scope["method"], path, str(status)).observe(seconds)
    level = log.warning if status >= 500 else log.info
    level("request", method=scope["method"], path=path, status=status, seconds=round(seconds, 4))
