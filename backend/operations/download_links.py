"""Signed download URLs: who has one may fetch that one file until it expires, without a key.

``HMAC-SHA-256(pepper, "download" | operation id | expiry)``: nothing is stored, nothing can be changed.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from uuid import UUID

from backend.core.settings import Settings, get_settings

_FURTHEST_SECONDS = 366 * 86_400


def download_url(operation_id: UUID) -> str:
    """The path under which the owner downloads an export's file."""
    return f"/bulk/operations/{operation_id}/download"


def signed_download_url(operation_id: UUID, *, now: float | None = None, seconds: int | None = None) -> str:
    """The same with a signature that stands in for the key.

    Args:
        now: seconds since the epoch; the current time when ``None``.
        seconds: how long it works; ``download_url_seconds`` when ``None``.
    """
    settings = get_settings()
    expires = int(time.time() if now is None else now) + (seconds or settings.download_url_seconds)
    return f"{download_url(operation_id)}?expires={expires}&signature={_sign(settings, operation_id, expires)}"


def is_signed(operation_id: UUID, expires: str, signature: str, *, now: float | None = None) -> bool:
    """Whether a signature is ours and not over."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    moment = time.time() if now is None else now
    right = _sign(get_settings(), operation_id, int(expires))
    same = hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))
    return same and moment < int(expires) < moment + _FURTHEST_SECONDS


def _sign(settings: Settings, operation_id: UUID, expires: int) -> str:
    message = b"download\0" + operation_id.bytes + expires.to_bytes(8, "big")
    return hmac.new(settings.api_key_pepper.get_secret_value().encode(), message, sha256).hexdigest()
