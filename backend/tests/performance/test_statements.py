"""Statements and round trips of a part of each kind, and of an operation around its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text

from backend.core.settings import get_settings
from backend.db.session import unit_of_work
from backend.operations.parts import Part
from backend.tests.performance.wire import Meter, Traffic
from backend.tests.support.engine import Engine, card

FEW, MANY = 2, 5  # parts
WARM = 5  # psycopg prepares a statement when it is run for the fourth time on one connection
FAILING = {"privacy_level": "SECRET"}


class Cost(NamedTuple):
    """Of one part, and of one operation without its parts."""

    part_statements: int
    part_round_trips: int
    operation_statements: int


# As measured. A part: begin, candidates, its row (with a slot; where order matters, locks before it), the
# attempt, the work, its end, commit. COPY takes two round trips; a savepoint before it is one statement, one
# around it two. An operation: once more candidates when nothing is left, and what its end reads and writes.
BOUNDS = {
    "create": Cost(9, 10, 9),
    "create, every second card fails": Cost(10, 12, 10),
    "skip": Cost(10, 10, 9),
    "update": Cost(14, 14, 9),
    "soft delete": Cost(7, 7, 9),
    "restore": Cost(7, 7, 9),
    "hard delete": Cost(7, 7, 9),
}


@pytest.fixture
def parts_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sets the size of every part."""

    def cut(cards: int) -> None:
        monkeypatch.setenv("PART_MIN_ITEMS", str(cards))
        monkeypatch.setenv("PART_MAX_ITEMS", str(cards))
        get_settings.cache_clear()

    yield cut
    get_settings.cache_clear()


class Operations:
    """Starts operations of a kind and a size that have something to do, each on cards of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._round = 0

    def start(self, kind: str, count: int) -> UUID:
        engine = self._engine
        match kind:
            case "create":
                return engine.imports(self.cards(count))
            case "create, every second card fails":
                return engine.imports([card(i, **(FAILING if i % 2 else {})) for i in range(count)])
            case "skip" | "update":
                known = self.cards(count)
                engine.done(engine.imports(known))
                return engine.imports(known, on_duplicate=kind)
            case "soft delete":
                return engine.deletes(self.imported(count))
            case "restore":
                ids = self.imported(count)
                engine.done(engine.deletes(ids))
                return engine.deletes(ids, "restore")
            case "hard delete":
                return engine.deletes(self.imported(count), soft_delete=False)
        raise ValueError(kind)

    def cards(self, count: int) -> list[dict[str, object]]:
        self._round += 1
        return [card(i, external_id=f"{self._round}-{i}") for i in range(count)]

    def imported(self, count: int) -> list[str]:
        operation = self._engine.imports(self.cards(count))
        self._engine.run()
        return [line["card_id"] for line in self._engine.results(operation)]

    def run(self, meter: Meter, kind: str, count: int) -> Traffic:
        """What the workers' side of one operation sends and gets."""
        operation = self.start(kind, count)
        meter.reset()
        self._engine.run()
        traffic = meter.read()
        assert self._engine.status(operation)["status"] == "SUCCESS"
        return traffic


@pytest.fixture
def operations(engine: Engine) -> Operations:
    return Operations(engine)


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_part_takes_no_more_statements_than_it_did_however_many_cards_it_has(
    kind, operations, postgres, parts_of
):
    parts_of(20)
    for _ in range(WARM):
        one = operations.run(postgres, kind, 20)
    few = operations.run(postgres, kind, 20 * FEW)
    many = operations.run(postgres, kind, 20 * MANY)
    parts_of(200)
    large = operations.run(postgres, kind, 200)

    statements = (len(many.statements) - len(few.statements)) / (MANY - FEW)
    found = Cost(
        part_statements=statements,
        part_round_trips=(many.round_trips - few.round_trips) / (MANY - FEW),
        operation_statements=len(few.statements) - FEW * statements,
    )
    extra = Counter(many.statements) - Counter(few.statements)
    assert all(have <= most for have, most in zip(found, BOUNDS[kind], strict=True)), (found, extra)
    assert large.statements == one.statements
    # Its cards come in three COPY statements, sent together: where one ends and the next begins is a turn.
    further = 2 if kind.startswith("create") else 0
    assert large.round_trips <= one.round_trips + further


def test_a_parts_cards_come_in_a_few_statements(engine, operations, parts_of):
    """Of which PostgreSQL stores one while the next one's cards are read; ``cmin`` counts them."""
    parts_of(2_500)
    engine.imports(operations.cards(2_500))
    engine.run()
    with unit_of_work() as connection:
        by_statement = text("SELECT count(*) FROM cards GROUP BY cmin::text::int ORDER BY cmin::text::int")
        counts = connection.execute(by_statement).scalars().all()
    assert sum(counts) == 2_500
    assert 8 <= len(counts) <= 10
    assert max(counts) <= 312


@pytest.mark.parametrize("options", [{"dry_run": True}, {"error_policy": "reject_everything"}], ids=str)
def test_parts_of_one_transaction_do_not_stand_one_in_another(
    options, engine, operations, postgres, parts_of
):
    parts_of(20)
    operation = engine.imports(operations.cards(60), **options)
    postgres.reset()
    engine.run()
    statements = postgres.read().statements
    assert engine.status(operation)["result"]["cards_imported"] == 60
    assert [sum(one.startswith(f"{verb} read") for one in statements) for verb in _SAVEPOINTS] == [3, 3]


_SAVEPOINTS = ("SAVEPOINT", "RELEASE SAVEPOINT")


def test_an_export_takes_no_more_statements_for_more_cards(engine, operations, postgres):
    """Up to one range of ids it is one COPY, whatever is in it."""

    def export() -> Traffic:
        # The connections of the pool change their roles; when one of them rolls back, psycopg drops what
        # it had prepared there. The cheapest of three is the steady state.
        return min((_export() for _ in range(3)), key=lambda one: (len(one.statements), one.round_trips))

    def _export() -> Traffic:
        operation = engine.start("export", [Part(0, 0, 0, None)], {"format": "ndjson"})
        postgres.reset()
        engine.run()
        traffic = postgres.read()
        assert engine.status(operation)["status"] == "SUCCESS"
        return traffic

    operations.imported(10)
    export()
    small = export()
    operations.imported(1_000)
    large = export()
    assert len(large.statements) == len(small.statements) <= 27, "\n".join(s[:50] for s in large.statements)
    assert large.round_trips == small.round_trips <= 27
