"""The ledger: append-only, one award per card and reason, the balance its sum."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest

from backend.core.ids import card_id
from backend.db.session import unit_of_work
from backend.ledger import invariants, store
from backend.tests.support.engine import Engine, card


@pytest.fixture
def engine(owner: UUID) -> Engine:
    return Engine(owner)


@pytest.fixture
def operation(engine: Engine) -> UUID:
    """An import of six cards, of which four are published."""
    levels = ["BUSINESS", "IDEAS", "PRIVATE"] * 2
    operation = engine.imports([card(n, privacy_level=level) for n, level in enumerate(levels)])
    engine.run()
    return operation


def test_each_published_card_has_one_award_and_the_balance_is_their_sum(engine, operation, owner):
    with unit_of_work(owner) as connection:
        rows = store.page(connection, owner, 10, None)
        assert store.balance(connection, owner) == Decimal("4.00000000")
    assert {row.card_id for row in rows} == {card_id(operation, index) for index in (0, 1, 3, 4)}
    assert {(row.amount, row.reason, row.operation_id) for row in rows} == {
        (Decimal(1), "card_published", operation)
    }


def test_pages_hold_every_row_once_newest_first(engine, operation, owner):
    engine.done(engine.imports([card(n) for n in range(5)]))
    seen, after = [], None
    while True:
        with unit_of_work(owner) as connection:
            rows = store.page(connection, owner, 2, after)
        if not rows:
            break
        seen += rows
        after = (rows[-1].created_at, rows[-1].card_id)
    keys = [(row.created_at, row.card_id) for row in seen]
    assert len(set(keys)) == 9
    assert keys == sorted(keys, reverse=True)


def test_a_card_is_awarded_once_however_often_it_is_asked_for(engine, operation, owner):
    cards = [card_id(operation, index) for index in range(6)]
    for _ in range(2):
        with unit_of_work() as connection:
            assert store.award_cards(connection, owner, operation, cards, datetime.now(UTC)) == 0


def test_nothing_is_awarded_for_the_cards_of_another_owner(engine, operation, database):
    other = uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, 'other')", (other,))
    span = card_id(operation, 0), card_id(operation, 5)
    with unit_of_work() as connection:
        assert store.award_range(connection, other, operation, *span, datetime.now(UTC)) == 0
        assert store.balance(connection, other) == 0
        assert store.balance(connection, uuid4()) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE extropy_ledger SET amount = 2",
        "DELETE FROM extropy_ledger",
        "TRUNCATE extropy_ledger",
        "INSERT INTO extropy_ledger SELECT * FROM extropy_ledger LIMIT 1",
    ],
)
def test_the_database_itself_refuses_to_change_or_double_a_row(operation, database, statement):
    with psycopg.connect(database) as connection, pytest.raises(psycopg.DatabaseError):
        connection.execute(statement)
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*), sum(amount) FROM extropy_ledger").fetchone()
    assert row == (4, Decimal("4.00000000"))


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE users SET extropy_balance = extropy_balance + 0.00000001", "balance_differs_from_ledger"),
        (
            "UPDATE cards SET published_at = now() WHERE id = "
            "(SELECT id FROM cards WHERE published_at IS NULL LIMIT 1)",
            "published_card_without_award",
        ),
        (
            "UPDATE cards SET published_at = NULL, is_published = false, published_url = NULL WHERE id = "
            "(SELECT id FROM cards WHERE published_at IS NOT NULL LIMIT 1)",
            "award_for_unpublished_card",
        ),
        (
            "INSERT INTO extropy_ledger (user_id, card_id, operation_id, created_at, amount, reason) "
            "SELECT user_id, gen_random_uuid(), id, now(), 2, 'card_published' FROM operations",
            "award_of_wrong_amount",
        ),
    ],
    ids=lambda value: value if " " not in value else "",
)
def test_the_invariants_find_what_does_not_add_up(engine, operation, database, statement, check):
    assert invariants.violations() == []
    with psycopg.connect(database) as connection:
        assert connection.execute(statement).rowcount == 1
    found = invariants.violations()
    assert check in {violation.check for violation in found}
    line = next(violation for violation in found if violation.check == check).as_json()
    assert line["user_id"] == str(engine.owner)
