"""Opaque page tokens and page sizes of lists."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from backend.core.errors import InvalidRequest

LARGEST_PAGE = 1_000
_LONGEST_TOKEN = 500


def page_size(wanted: int, largest: int = LARGEST_PAGE) -> int:
    """A size coerced into 1..``largest``."""
    return max(1, min(wanted, largest))


def encode(*position: str | int) -> str:
    """A position in a list as a token."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode(token: str | None, *types: type) -> list[Any] | None:
    """The position in a token.

    Raises:
        InvalidRequest: when it is not one of ours.
    """
    if token is None:
        return None
    try:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError
        position = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(types)
        or not all(type(value) is kind for value, kind in zip(position, types, strict=True))
    ):
        raise InvalidRequest("page_token is not valid")
    return position
