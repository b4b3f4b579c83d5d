"""What a key may do, and which limits a key can carry of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from backend.core.errors import Forbidden, InvalidRequest

Scope = Literal[
    "cards:read",
    "cards:write",
    "bulk:import",
    "bulk:export",
    "bulk:delete",
    "keys:manage",
    "webhooks:manage",
    "admin",
]

# Scope -> what it allows, as the reference and the API's documentation show it.
SCOPES: dict[str, str] = {
    "cards:read": "read cards, operations, balance and ledger",
    "cards:write": "change and publish single cards",
    "bulk:import": "start imports, and retry and cancel operations that the key could start",
    "bulk:export": "start exports and download them",
    "bulk:delete": "delete and restore cards in bulk, and undo operations",
    "keys:manage": "make, list, rotate and revoke the owner's keys",
    "webhooks:manage": "manage webhooks",
    "admin": "read the audit log of the whole installation",
}

# What a key may do when nothing is said: everything of its owner's, nothing of the installation's.
DEFAULT: frozenset[str] = frozenset(SCOPES) - {"admin"}

# The limits that ``api_keys.limits`` can override, per key.
LIMITS = ("requests_per_minute", "operations_per_minute", "cards_per_hour")


def check_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """The same scopes, known ones only.

    Raises:
        InvalidRequest: for none at all and for an unknown one.
    """
    wanted = frozenset(scopes)
    if not wanted or not wanted <= SCOPES.keys():
        raise InvalidRequest(f"Scopes must be one or more of: {', '.join(SCOPES)}", code="unknown_scope")
    return wanted


def check_limits(limits: dict[str, int]) -> dict[str, int]:
    """The same limits, known names and positive whole numbers only.

    Raises:
        InvalidRequest: for anything else.
    """
    for name, value in limits.items():
        if name not in LIMITS or isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidRequest(f"Limits must be positive numbers named: {', '.join(LIMITS)}")
    return limits


def require(held: frozenset[str], scope: str) -> None:
    """Refuse a key that lacks ``scope``.

    Raises:
        Forbidden: naming the scope.
    """
    if scope not in held:
        raise Forbidden(f"This API key lacks the scope {scope}")


def require_all(held: frozenset[str], wanted: Iterable[str]) -> None:
    """A key gives away only what it holds.

    Raises:
        Forbidden: naming the first scope that is missing.
    """
    for scope in sorted(wanted):
        if scope not in held:
            raise Forbidden(f"This API key lacks the scope {scope}, so it cannot give it to another key")
