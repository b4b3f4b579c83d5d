"""Pure: what publishing earns, exactly."""

from __future__ import annotations

from decimal import Decimal

PUBLISHED = "card_published"
PER_CARD = Decimal("1.00000000")


def earned(cards: int) -> Decimal:
    """$EXTROPY for so many cards published for the first time."""
    return PER_CARD * cards


def as_text(amount: Decimal) -> str:
    """An amount as the API writes it: eight decimals, never an exponent."""
    return f"{amount:.8f}"
