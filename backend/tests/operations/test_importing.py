"""Imports part by part: what is made, what fails, what is the same card."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from backend.db.session import unit_of_work
from backend.tests.support.engine import Engine, card


def refuse_titles(word: str) -> None:
    """Let PostgreSQL refuse some titles, as a rule that only the database knows would."""
    with unit_of_work() as connection:
        connection.execute(text(f"ALTER TABLE cards ADD CONSTRAINT no_word CHECK (title !~ '{word}')"))


def test_a_card_that_postgresql_refuses_is_found_by_halving(engine: Engine) -> None:
    refuse_titles("cursed")
    sent = [card(i, title="cursed" if i in (3, 77, 78) else f"Card {i}") for i in range(250)]
    status = engine.done(engine.imports(sent))
    assert status["status"] == "SUCCESS"
    assert (status["result"]["cards_imported"], status["result"]["cards_failed"]) == (247, 3)
    found = [(error["index"], error["code"], error["title"]) for error in status["result"]["errors"]]
    assert found == [(index, "refused_by_database", "cursed") for index in (3, 77, 78)]
    assert len(engine.cards()) == 247
    assert engine.books() == []


@pytest.mark.parametrize(
    "field",
    [
        {"title": "a\0"}, {"body": "\0"}, {"category": "\0"}, {"tags": ["a", "\0"]},
        {"source_platform": "\0"}, {"source_url": "https://example.com/\0"}, {"external_id": "\0"},
        {"metadata": {"a": "\0"}}, {"metadata": {"a": [{"\0": 1}]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_nul_is_the_error_of_its_card_wherever_it_stands(engine: Engine, field: dict[str, Any]) -> None:
    """PostgreSQL is the first to find it; then the part is read again, more closely."""
    sent: list[Any] = [card(i, **(field if i == 77 else {})) for i in range(250)]
    status = engine.done(engine.imports([*sent, b"[1]"]))
    assert status["status"] == "SUCCESS"
    found = [(error["index"], error["code"], error.get("field")) for error in status["result"]["errors"]]
    assert found == [(77, "unstorable", next(iter(field))), (250, "not_an_object", None)]
    assert status["result"]["cards_imported"] == 249 == len(engine.cards())
    assert engine.books() == []


def test_a_refused_update_leaves_the_other_updates(engine: Engine) -> None:
    engine.done(engine.imports([card(i, external_id=f"e{i}") for i in range(10)]))
    refuse_titles("cursed")
    sent = [card(i, external_id=f"e{i}", title="cursed" if i == 4 else "New") for i in range(10)]
    result = engine.done(engine.imports(sent, on_duplicate="update"))["result"]
    assert (result["cards_updated"], result["cards_failed"]) == (9, 1)
    assert [one.title for one in engine.cards()].count("New") == 9


def test_every_failed_card_is_kept_as_it_was_sent(engine: Engine) -> None:
    sent: list[Any] = [card(0), b'{"title" : "x",   "odd": 1}', card(2), b"[1, 2]"]
    task = engine.imports(sent)
    engine.done(task)
    assert [(error.index, error.record) for error in engine.errors(task)] == [
        (1, b'{"title" : "x",   "odd": 1}'),
        (3, b"[1, 2]"),
    ]


@pytest.mark.parametrize("mode", ["skip", "update", "fail"])
def test_the_same_cards_twice_make_no_second_card(engine: Engine, mode: str) -> None:
    sent = [card(i, external_id=f"e{i}") for i in range(300)]
    engine.done(engine.imports(sent, on_duplicate=mode))
    result = engine.done(engine.imports(sent, on_duplicate=mode))["result"]
    assert result["cards_imported"] == 0
    counted = {"skip": "cards_skipped", "update": "cards_updated", "fail": "cards_failed"}[mode]
    assert result[counted] == 300
    assert len(engine.cards()) == 300
    assert engine.books() == []


@pytest.mark.parametrize("mode", ["skip", "update", "fail"])
def test_the_same_card_twice_in_one_import_is_one_card(engine: Engine, mode: str) -> None:
    sent = [card(i % 150, external_id=f"e{i % 150}", body=f"body {i}") for i in range(450)]
    task = engine.imports(sent, on_duplicate=mode)
    result = engine.done(task)["result"]
    assert len(engine.cards()) == 150
    assert result["cards_imported"] == 150
    bodies = {one.external_id: one.body for one in engine.cards()}
    last = mode == "update"
    assert bodies == {f"e{i}": f"body {i + 300 if last else i}" for i in range(150)}
    assert engine.books() == []
    assert [line["index"] for line in engine.results(task)] == list(range(450))


def test_without_an_external_id_title_and_body_say_what_is_the_same(engine: Engine) -> None:
    engine.done(engine.imports([card(1), card(2)]))
    result = engine.done(engine.imports([card(1), card(2, body="other")], on_duplicate="skip"))["result"]
    assert (result["cards_skipped"], result["cards_imported"]) == (1, 1)


def test_an_update_that_publishes_awards_once(engine: Engine) -> None:
    private = card(1, external_id="a", privacy_level="PRIVATE")
    public = card(1, external_id="a", privacy_level="BUSINESS")
    engine.done(engine.imports([private]))
    for sent, published, earned in ((public, 1, "1"), (private, 0, "0"), (public, 1, "0")):
        result = engine.done(engine.imports([sent], on_duplicate="update"))["result"]
        assert (result["cards_published"], result["extropy_earned"]) == (published, f"{earned}.00000000")
        assert engine.books() == []
    (one,) = engine.cards()
    assert one.is_published


def test_a_deleted_card_is_not_a_duplicate(engine: Engine) -> None:
    engine.done(engine.imports([card(1, external_id="a")]))
    engine.done(engine.deletes([one.id for one in engine.cards()]))
    result = engine.done(engine.imports([card(1, external_id="a")], on_duplicate="skip"))["result"]
    assert result["cards_imported"] == 1


def test_a_dry_run_changes_nothing_and_says_what_the_real_run_does(engine: Engine) -> None:
    engine.done(engine.imports([card(i, external_id=f"e{i}") for i in range(50)]))
    sent = [card(i, external_id=f"e{i}") for i in range(400)] + [{"title": "bad"}]
    balance = "SELECT extropy_balance FROM users WHERE id = :owner"
    before = engine.cards(), engine.rows(balance, owner=engine.owner)
    dry = engine.done(engine.imports(sent, on_duplicate="skip", dry_run=True))["result"]
    assert (engine.cards(), engine.rows(balance, owner=engine.owner)) == before
    real = engine.done(engine.imports(sent, on_duplicate="skip"))["result"]
    assert dry.pop("dry_run") is True
    for result in (dry, real):
        result.pop("duration_seconds")
        result.pop("errors_url")
    assert dry == real


def test_reject_everything_imports_nothing_when_one_card_is_bad(engine: Engine) -> None:
    sent = [card(i) for i in range(350)] + [{"title": "bad"}]
    task = engine.imports(sent, error_policy="reject_everything")
    status = engine.done(task)
    assert status["status"] == "FAILURE"
    assert status["error"] == "1 cards failed, so none was imported"
    result = status["result"]
    assert (result["cards_imported"], result["cards_failed"], result["cards_skipped"]) == (0, 1, 350)
    assert result["extropy_earned"] == "0.00000000"
    assert engine.cards() == []
    assert engine.books() == []
    outcomes = [line["outcome"] for line in engine.results(task)]
    assert outcomes == ["skipped"] * 350 + ["failed"]


def test_reject_everything_imports_all_when_all_are_good(engine: Engine) -> None:
    status = engine.done(engine.imports([card(i) for i in range(350)], error_policy="reject_everything"))
    assert status["status"] == "SUCCESS"
    assert len(engine.cards()) == 350
    assert engine.books() == []
