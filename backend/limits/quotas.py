"""Which limits hold for whom: requests and operations per key, cards per owner.

How many operations of an owner may run and wait is not a rate; submitting counts them in PostgreSQL.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from backend.core.settings import get_settings
from backend.limits.rates import Bucket, Spent, spend

MINUTE, HOUR = 60, 3600


class Limited(Protocol):
    """Who spends: an owner's key, with the limits that this key has of its own."""

    @property
    def user_id(self) -> UUID: ...
    @property
    def key_id(self) -> UUID: ...
    @property
    def limits(self) -> dict[str, int]: ...


def count_request(who: Limited, *, operation: bool = False, mark: str = "") -> Spent:
    """Count one request of a key, and where it starts an operation that too.

    Args:
        who: whose key it is.
        operation: also spend from the rate of operations.
        mark: a key of Redis to look for in the same round trip; when it is there, nothing is counted.

    Raises:
        RateLimited: with ``retry_after`` in seconds.
    """
    return spend(_per_key(who, operation=operation), mark=mark)


def charge_cards(who: Limited, cards: int) -> None:
    """Spend ``cards`` of the owner's cards per hour.

    Raises:
        RateLimited: when they are not there; nothing was spent then.
    """
    if cards > 0 and get_settings().rate_limit_enabled:
        spend(_per_owner(who, cards))


def refund_cards(who: Limited, cards: int) -> None:
    """Give back what ``charge_cards`` took, when the submission failed after all. Never raises."""
    if cards > 0 and get_settings().rate_limit_enabled:
        spend(_per_owner(who, -cards))


def _per_key(who: Limited, *, operation: bool) -> list[Bucket]:
    settings = get_settings()
    if not settings.rate_limit_enabled:
        return []
    requests = who.limits.get("requests_per_minute", settings.rate_limit_requests_per_minute)
    buckets = [Bucket(f"requests:{who.key_id}", "requests", requests, MINUTE)]
    if operation:
        operations = who.limits.get("operations_per_minute", settings.rate_limit_operations_per_minute)
        buckets.append(Bucket(f"operations:{who.key_id}", "operations", operations, MINUTE))
    return buckets


def _per_owner(who: Limited, cards: int) -> list[Bucket]:
    """The owner's common bucket. A key with a figure of its own draws on the owner's bucket of that figure:
    instead when it is larger, also when it is smaller. So no number of keys adds up to more.
    """
    common = get_settings().quota_cards_per_hour
    own = who.limits.get("cards_per_hour", common)
    limits = {common} if own == common else {own} if own > common else {own, common}
    return [
        Bucket(f"cards:{who.user_id}:{limit}", "cards", limit, HOUR, cost=cards) for limit in sorted(limits)
    ]
