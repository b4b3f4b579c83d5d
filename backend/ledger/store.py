"""The append-only ledger and the balances it adds up to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from backend.ledger.rewards import PER_CARD, PUBLISHED

# IS TRUE: cards are found by their ids, never by reading all that the owner has (see cards/removal.py).
_AWARD_RANGE = text(
    """
    INSERT INTO extropy_ledger (user_id, card_id, operation_id, created_at, amount, reason)
    SELECT user_id, id, :operation, :now, :amount, :reason FROM cards
    WHERE id BETWEEN :first AND :last AND (user_id = :owner) IS TRUE AND is_published
    """
)
# A card that was published before keeps its one award, however often it is published again.
_AWARD_CARDS = text(
    """
    INSERT INTO extropy_ledger (user_id, card_id, operation_id, created_at, amount, reason)
    SELECT user_id, id, :operation, :now, :amount, :reason FROM cards
    WHERE id = ANY(:cards) AND (user_id = :owner) IS TRUE AND is_published
    ON CONFLICT (card_id, reason) DO NOTHING
    """
)
_ADD = text("UPDATE users SET extropy_balance = extropy_balance + :amount WHERE id = :owner")
_BALANCE = text("SELECT extropy_balance FROM users WHERE id = :owner")
_PAGE = text(
    """
    SELECT card_id, operation_id, created_at, amount, reason FROM extropy_ledger
    WHERE user_id = :owner
      AND (CAST(:at AS timestamptz) IS NULL
           OR (created_at, card_id) < (CAST(:at AS timestamptz), CAST(:card AS uuid)))
    ORDER BY created_at DESC, card_id DESC LIMIT :size
    """
)


def award_range(
    connection: Connection, owner: UUID, operation: UUID, first: UUID, last: UUID, now: datetime
) -> int:
    """Award every published card of a fresh id range. Returns how many.

    Idempotent because it runs in the transaction that inserts those cards: both or neither.
    """
    return connection.execute(
        _AWARD_RANGE,
        {
            "owner": owner,
            "operation": operation,
            "first": first,
            "last": last,
            "now": now,
            "amount": PER_CARD,
            "reason": PUBLISHED,
        },
    ).rowcount


def award_cards(
    connection: Connection, owner: UUID, operation: UUID, cards: list[UUID], now: datetime
) -> int:
    """Award those of the given cards that are published and never were awarded. Returns how many."""
    return connection.execute(
        _AWARD_CARDS,
        {
            "owner": owner,
            "operation": operation,
            "cards": cards,
            "now": now,
            "amount": PER_CARD,
            "reason": PUBLISHED,
        },
    ).rowcount


def add_to_balance(connection: Connection, owner: UUID, amount: Decimal) -> None:
    """Add to a balance. Last in a transaction: the owner's row stays locked until it ends."""
    if amount:
        connection.execute(_ADD, {"owner": owner, "amount": amount})


def balance(connection: Connection, owner: UUID) -> Decimal:
    """The owner's balance; zero for an unknown owner."""
    return connection.execute(_BALANCE, {"owner": owner}).scalar() or Decimal(0)


def page(
    connection: Connection, owner: UUID, size: int, after: tuple[datetime, UUID] | None
) -> list[Row[Any]]:
    """Ledger rows of one owner, newest first, after a (created_at, card_id) key."""
    at, card = after or (None, None)
    return list(connection.execute(_PAGE, {"owner": owner, "at": at, "card": card, "size": size}))
