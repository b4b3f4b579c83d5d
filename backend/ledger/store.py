"""The append-only ledger and the balances it adds up to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from backend.db.session import execute
from backend.ledger.rewards import PER_CARD, PUBLISHED

# One statement awards and pays, so that a balance cannot forget an award. IS TRUE: cards are found by their
# ids, never by reading all that the owner has (see cards/removal.py).
_AWARD = """
    WITH awarded AS (
        INSERT INTO extropy_ledger (user_id, card_id, operation_id, created_at, amount, reason)
        SELECT user_id, id, %(operation)s, %(now)s, %(amount)s, %(reason)s FROM cards
        WHERE {which} AND (user_id = %(owner)s) IS TRUE AND is_published
        {unless} RETURNING 1
    ), counted AS (
        SELECT count(*) AS cards FROM awarded
    ), paid AS (
        UPDATE users SET extropy_balance = extropy_balance + counted.cards * %(amount)s
        FROM counted WHERE id = %(owner)s AND counted.cards > 0
    )
    SELECT cards FROM counted
    """
_AWARD_RANGE = _AWARD.format(which="id BETWEEN %(first)s AND %(last)s", unless="")
# A card that was published before keeps its one award, however often it is published again.
_AWARD_CARDS = _AWARD.format(which="id = ANY(%(cards)s)", unless="ON CONFLICT (card_id, reason) DO NOTHING")
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
    """Award every published card of a fresh id range, and pay the owner. Returns how many.

    Idempotent because it runs in the transaction that inserts those cards: both or neither. Late in it: the
    owner's row stays locked until it ends.
    """
    return _award(connection, _AWARD_RANGE, owner, operation, now, first=first, last=last)


def award_cards(
    connection: Connection, owner: UUID, operation: UUID, cards: list[UUID], now: datetime
) -> int:
    """Award those of the given cards that are published and never were awarded, and pay the owner.

    Returns how many. Late in a transaction, as ``award_range``.
    """
    return _award(connection, _AWARD_CARDS, owner, operation, now, cards=cards)


def _award(
    connection: Connection, statement: str, owner: UUID, operation: UUID, now: datetime, **which: Any
) -> int:
    values = {"owner": owner, "operation": operation, "now": now, "amount": PER_CARD, "reason": PUBLISHED}
    row = execute(connection, statement, values | which).fetchone()
    return 0 if row is None else int(row[0])


def balance(connection: Connection, owner: UUID) -> Decimal:
    """The owner's balance; zero for an unknown owner."""
    return connection.execute(_BALANCE, {"owner": owner}).scalar() or Decimal(0)


def page(
    connection: Connection, owner: UUID, size: int, after: tuple[datetime, UUID] | None
) -> list[Row[Any]]:
    """Ledger rows of one owner, newest first, after a (created_at, card_id) key."""
    at, card = after or (None, None)
    return list(connection.execute(_PAGE, {"owner": owner, "at": at, "card": card, "size": size}))
