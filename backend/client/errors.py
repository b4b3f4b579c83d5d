"""What can go wrong, as types: the transport, the answer, the operation, the file.

The API's problem documents (RFC 9457) become ``ApiError`` and its subclasses; ``code`` is stable, ``detail``
is written for people, ``request_id`` is what an operator can look up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


class ClientError(Exception):
    """Base of everything this package raises."""


class ConnectionFailed(ClientError):
    """No answer could be had, however often it was tried."""


class UnexpectedAnswer(ClientError):
    """The answer is not this API's: another server or a proxy answered, or the versions do not fit."""


class NotAFormat(ClientError):
    """The file's kind cannot be told from its name; name a ``media_type``."""


class WaitTimeout(ClientError):
    """The operation was not over in time. It goes on; ``task_id`` finds it again."""

    def __init__(self, task_id: str, seconds: float) -> None:
        super().__init__(f"Operation {task_id} was not over after {seconds:g} s. It goes on.")
        self.task_id = task_id


class DownloadFailed(ClientError):
    """The file did not arrive whole, or its checksum is not what the server said. Nothing was left behind."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with a request body; ``pointer`` is a JSON pointer (RFC 6901) into it."""

    pointer: str
    detail: str


class ApiError(ClientError):
    """The API refused. Subclasses say why."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str | None = None,
        errors: tuple[FieldProblem, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors
        self.retry_after = retry_after


class BadRequest(ApiError):
    """400: understood, and refused for what it says."""


class Unauthenticated(ApiError):
    """401: no, malformed, unknown, expired or revoked key."""


class Forbidden(ApiError):
    """403: the key lacks a scope; ``detail`` names it."""


class NotFound(ApiError):
    """404: unknown, or another owner's."""


class Conflict(ApiError):
    """409: its state does not allow this."""


class Gone(ApiError):
    """410: its retention is over."""


class PayloadTooLarge(ApiError):
    """413: the body is larger than the server takes."""


class UnsupportedMedia(ApiError):
    """415: unknown media type or encoding; ``detail`` names those accepted."""


class ValidationFailed(ApiError):
    """422: the envelope is wrong; ``errors`` points at each place."""


class IdempotencyMismatch(ValidationFailed):
    """422: this Idempotency-Key was used with a different request."""


class RateLimited(ApiError):
    """429: over a rate or a quota; ``retry_after`` seconds until it can pass."""


class ServerFailed(ApiError):
    """5xx: the server's fault; ``request_id`` helps to find it."""


class Unavailable(ServerFailed):
    """502, 503, 504, still so after every retry."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: PayloadTooLarge,
    415: UnsupportedMedia,
    422: ValidationFailed,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_DETAIL_CHARACTERS = 500


def from_answer(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an answer of 400 and above; header names are lower case."""
    problem = _problem(headers, body)
    code = str(problem.get("code") or f"http_{status}")
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else ApiError)
    if code == "idempotency_key_reused":
        kind = IdempotencyMismatch
    detail = str(problem.get("detail") or problem.get("title") or f"The server answered {status}.")
    return kind(
        status,
        code,
        detail[:_DETAIL_CHARACTERS],
        request_id=_text(problem.get("request_id")) or headers.get("x-request-id"),
        errors=tuple(_field_problems(problem.get("errors"))),
        retry_after=retry_after(headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` as a number or a date; None when it says nothing."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _problem(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if "json" not in headers.get("content-type", ""):
        return {}
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _field_problems(found: object) -> list[FieldProblem]:
    if not isinstance(found, list):
        return []
    return [
        FieldProblem(str(one.get("pointer", "")), str(one.get("detail", "")))
        for one in found
        if isinstance(one, dict)
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
