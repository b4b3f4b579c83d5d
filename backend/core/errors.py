"""Coded domain errors.

Every error that a caller may see has a stable ``code`` and a ``detail`` written for the caller. HTTP
statuses live at the edge (``backend.api.problems``); whether trying again can help lives here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a request body. ``pointer`` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    detail: str


class ExtrophiError(Exception):
    """Base of all domain errors. ``detail`` is shown to the caller and never echoes the input."""

    code: ClassVar[str] = "internal_error"
    transient: ClassVar[bool] = False

    def __init__(self, detail: str, *, code: str | None = None, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.instance_code = code or self.code


class InvalidRequest(ExtrophiError):
    """The request is understood and refused for what it says (documented 400s)."""

    code = "invalid_request"


class MalformedBody(InvalidRequest):
    """The body is not what its media type says, for example not JSON. ``detail`` carries line and column."""

    code = "malformed_body"


class ValidationFailed(ExtrophiError):
    """The envelope has a wrong type or an unknown field; ``errors`` points at each."""

    code = "validation_failed"


class Unauthenticated(ExtrophiError):
    """No, malformed, unknown, expired or revoked key: the same answer for all of them."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("Invalid or missing API key")


class Forbidden(ExtrophiError):
    """The key lacks a scope; ``detail`` names it."""

    code = "missing_scope"


class NotFound(ExtrophiError):
    """Unknown, or another owner's: the same for both."""

    code = "not_found"


class Conflict(ExtrophiError):
    """The thing is in a state that does not allow this, for example cancelling what is over."""

    code = "conflict"


class IdempotencyMismatch(ExtrophiError):
    """An Idempotency-Key was used again with a different request."""

    code = "idempotency_key_reused"


class PayloadTooLarge(ExtrophiError):
    """Declared, chunked or decoded size, entry count or ratio beyond the limit."""

    code = "payload_too_large"


class RequestTimeout(ExtrophiError):
    """The sender of a body was silent for too long, or took too long altogether."""

    code = "request_timeout"


class UnsupportedMedia(ExtrophiError):
    """Unknown media type or content encoding; ``detail`` names those accepted."""

    code = "unsupported_media_type"


class RateLimited(ExtrophiError):
    """Over a rate or a quota.

    Args:
        retry_after: seconds until the same request can pass.
        limit, remaining, policy: for the RateLimit and RateLimit-Policy fields.
    """

    code = "rate_limited"
    transient = True

    def __init__(
        self, detail: str, *, retry_after: int, limit: int = 0, window: int = 60, policy: str = "default"
    ) -> None:
        super().__init__(detail)
        self.retry_after = max(1, retry_after)
        self.limit = limit
        self.window = window
        self.policy = policy


class Unavailable(ExtrophiError):
    """A part this request needs (PostgreSQL, the artifact store) does not answer. Try again later."""

    code = "unavailable"
    transient = True


class Gone(ExtrophiError):
    """It was here and its retention is over (export files, watermarks of another cluster)."""

    code = "gone"
