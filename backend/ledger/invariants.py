"""What must always hold: published-ever cards = award rows, and balance = sum of rows.

Checked by ``extrophi tokens verify``, by the fault tests after every step, and by operators at night.
One snapshot, so running imports do not disturb it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from backend.db.session import get_engine

_CHECKS = {
    "balance_differs_from_ledger": """
        SELECT u.id AS user_id, NULL::uuid AS card_id,
               'balance ' || u.extropy_balance || ', ledger ' || coalesce(sum(l.amount), 0) AS detail
        FROM users u LEFT JOIN extropy_ledger l ON l.user_id = u.id
        GROUP BY u.id HAVING u.extropy_balance <> coalesce(sum(l.amount), 0) LIMIT :most""",
    "published_card_without_award": """
        SELECT c.user_id, c.id AS card_id, 'published and never awarded' AS detail FROM cards c
        WHERE c.published_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM extropy_ledger l WHERE l.card_id = c.id AND l.reason = 'card_published'
              AND l.user_id = c.user_id) LIMIT :most""",
    "award_for_unpublished_card": """
        SELECT l.user_id, l.card_id, 'awarded and never published' AS detail FROM extropy_ledger l
        JOIN cards c ON c.id = l.card_id
        WHERE l.reason = 'card_published' AND c.published_at IS NULL LIMIT :most""",
    "award_of_wrong_amount": """
        SELECT l.user_id, l.card_id, 'award of ' || l.amount AS detail FROM extropy_ledger l
        WHERE l.reason = 'card_published' AND l.amount <> 1 LIMIT :most""",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where the books do not add up."""

    check: str
    user_id: UUID
    card_id: UUID | None
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {key: str(value) if value is not None else None for key, value in asdict(self).items()}


def violations(most: int = 100) -> list[Violation]:
    """Every violation (at most ``most`` of each kind), read in one REPEATABLE READ snapshot."""
    with (
        get_engine().connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        return find(connection, most)


def find(connection: Connection, most: int = 100) -> list[Violation]:
    """The same in the caller's transaction."""
    return [
        Violation(check, row.user_id, row.card_id, row.detail)
        for check, query in _CHECKS.items()
        for row in connection.execute(text(query), {"most": most})
    ]
