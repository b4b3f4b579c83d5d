"""Amounts are exact: decimals with eight places, however large."""

from __future__ import annotations

from decimal import Decimal

import pytest

from backend.ledger.rewards import as_text, earned


@pytest.mark.parametrize(
    ("cards", "shown"),
    [(0, "0.00000000"), (1, "1.00000000"), (800, "800.00000000"), (10**12 - 1, "999999999999.00000000")],
)
def test_each_card_earns_one(cards, shown):
    assert as_text(earned(cards)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1E-8", "0.00000001"), ("1E+3", "1000.00000000"), ("-5", "-5.00000000"), ("0.1", "0.10000000")],
)
def test_an_amount_is_never_written_with_an_exponent(amount, shown):
    assert as_text(Decimal(amount)) == shown
