"""``RateLimit`` and ``RateLimit-Policy``, as draft-ietf-httpapi-ratelimit-headers-10 writes them."""

from __future__ import annotations

from collections.abc import Iterable

from backend.core.errors import RateLimited
from backend.limits.rates import Standing


def of_standings(standings: Iterable[Standing]) -> dict[str, str]:
    """The fields of an answer that passed; empty when nothing was counted."""
    found = tuple(standings)
    if not found:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{one.policy}";q={one.limit};w={one.window}' for one in found),
        "RateLimit": ", ".join(f'"{one.policy}";r={one.remaining};t={one.reset}' for one in found),
    }


def of_refusal(error: RateLimited) -> dict[str, str]:
    """The fields of a 429, ``Retry-After`` included."""
    fields = {"Retry-After": str(error.retry_after)}
    if error.limit:
        fields["RateLimit-Policy"] = f'"{error.policy}";q={error.limit};w={error.window}'
        fields["RateLimit"] = f'"{error.policy}";r=0;t={error.retry_after}'
    return fields
