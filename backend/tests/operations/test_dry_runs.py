"""A dry run says what the real run does, whatever the cards and the account are."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.core.settings import get_settings
from backend.operations.submit import sizes
from backend.tests.support.engine import Engine, card

_ID = st.sampled_from(["a", "b", "c", "d", None])
_CARD = st.builds(
    lambda number, external, level: card(number, external_id=external, privacy_level=level, body="same"),
    st.integers(0, 3),
    _ID,
    st.sampled_from(["BUSINESS", "IDEAS", "PRIVATE"]),
)
_BAD = st.sampled_from([{"title": "no body"}, [1], card(9, privacy_level="SECRET"), card(9, title="cursed")])
_BATCH = st.lists(_CARD | _BAD, min_size=1, max_size=14)
_TIMES = ("duration_seconds", "errors_url", "dry_run")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parts of two cards, and a rule that only PostgreSQL knows."""
    monkeypatch.setenv("PART_MIN_ITEMS", "2")
    get_settings.cache_clear()
    assert sizes(get_settings()).smallest == 2
    yield
    get_settings.cache_clear()


def new_engine(database: str) -> Engine:
    owner = uuid.uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (owner, f"user-{owner}"))
    return Engine(owner)


def told(engine: Engine, task: UUID) -> tuple[Any, Any, Any, Any]:
    """The state, the result, every failed item and what became of every item; no id of a card."""
    status = engine.done(task)
    result = {name: value for name, value in status["result"].items() if name not in _TIMES}
    errors = [(error.index, error.code, error.message, error.record) for error in engine.errors(task)]
    outcomes = [(line["index"], line["outcome"]) for line in engine.results(task)]
    return (status["status"], status.get("error")), result, errors, outcomes


@pytest.mark.parametrize("policy", ["reject_failed_rows", "reject_everything"])
@pytest.mark.parametrize("mode", ["create", "skip", "update", "fail"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_BATCH, sent=_BATCH, publish_ideas=st.booleans())
def test_a_dry_run_never_differs_from_the_real_run(
    database: str,
    small_parts: None,
    mode: str,
    policy: str,
    before: list[Any],
    sent: list[Any],
    publish_ideas: bool,
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE cards DROP CONSTRAINT IF EXISTS no_word")
        connection.execute("ALTER TABLE cards ADD CONSTRAINT no_word CHECK (title !~ 'cursed')")
    engine = new_engine(database)
    engine.done(engine.imports(before))
    options = {"on_duplicate": mode, "error_policy": policy, "publish_ideas": publish_ideas}
    state = engine.cards(), engine.rows("SELECT id, extropy_balance FROM users ORDER BY id")
    dry = told(engine, engine.imports(sent, dry_run=True, **options))
    assert (engine.cards(), engine.rows("SELECT id, extropy_balance FROM users ORDER BY id")) == state
    real = told(engine, engine.imports(sent, **options))
    assert dry == real
    assert engine.books() == []
    earned = engine.rows(
        "SELECT coalesce(sum(amount), 0) AS sum FROM extropy_ledger WHERE user_id = :owner",
        owner=engine.owner,
    )[0].sum
    (balance,) = engine.rows("SELECT extropy_balance AS sum FROM users WHERE id = :owner", owner=engine.owner)
    assert earned == balance.sum
