"""Growth: the same work on tables of 10,000 cards and of ten, a hundred, a thousand times as many.

Two databases on one server: a small one, which stays as it is, and one that is filled further and further.
Each kind of work is timed in both, one right after the other, so that a slow moment of the machine hits
both. Each round has an owner of its own in each, who imports, looks for duplicates, exports, asks, deletes,
and leaves nothing but what the ledger keeps.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from backend.core.ids import card_id, new_operation_id
from backend.db.session import unit_of_work
from backend.operations import report, store
from backend.operations.exporting import run_export
from backend.operations.state import FINAL
from benchmarks import servers
from benchmarks.engine import Engine
from benchmarks.figures import Measurement, Result, WrongCount
from benchmarks.filling import Filling
from benchmarks.options import Options
from benchmarks.rows import Cards
from benchmarks.servers import Database

SMALL = 10_000
GROWTH, STRETCH = 1.3, 1.1  # cost per card in the large table / in the small one
CALLS = 100  # of what takes a millisecond
LISTED = 30  # operations of the owner whose list is asked for
_PART = 1_000

say = functools.partial(print, flush=True)


def sizes(growth_to: int) -> list[int]:
    """Powers of ten above the small table, up to ``growth_to`` and that itself."""
    powers = [SMALL * 10**power for power in range(1, 8)]
    return [size for size in powers if size < growth_to] + [growth_to] * (growth_to > SMALL)


def run(options: Options) -> Iterator[Result]:
    """Fill and measure, size after size."""
    with servers.database() as small:
        large = small.twin()
        Filling(small, SMALL, seed=options.seed).to(SMALL)
        filling = Filling(large, options.growth_to, seed=options.seed)
        cards = Cards(options.cards, options.seed)
        for size in sizes(options.growth_to):
            filling.to(size, say)
            yield from compared(small, large, size, cards, options)


def compared(
    small: Database, large: Database, size: int, cards: Cards, options: Options
) -> Iterator[Measurement]:
    """Every kind of work at one size.

    Raises:
        WrongCount: something handled another number of cards than it was given.
    """
    seconds = {what: {"large": list[float](), "small": list[float]()} for what in WORK}
    sides = {"large": large, "small": small}
    for number in range(-1, options.rounds):  # the first round is not counted
        owners = {name: _Owner(database, cards) for name, database in sides.items()}
        for turn, (what, act) in enumerate(WORK.items()):
            for name in sides if (number + turn) % 2 == 0 else reversed(sides):
                with sides[name].in_use():
                    owners[name].warm_up()
                    taken = act(owners[name])
                if number >= 0:
                    seconds[what][name].append(taken)
        for database in sides.values():
            database.settle()
        if number >= 0:
            say(f"{size:,}: round {number + 1} of {options.rounds}")
    for what, taken in seconds.items():
        yield Measurement(
            "growth",
            f"{what}, {size:,} cards in the table",
            1 if what in CALLED else len(cards),
            tuple(taken["large"]),
            tuple(taken["small"]),
            against=f"{SMALL:,} in the table",
            goal=1 / GROWTH,
            stretch=1 / STRETCH,
            plot=False,  # a plot of its own, over all sizes
            details={"what": what, "table": size},
        )


class _Owner:
    """The work of a fresh owner, whose cards are those of one import."""

    def __init__(self, database: Database, cards: Cards) -> None:
        self._cards = cards
        self._owner = database.new_owner()
        self._made: UUID | None = None
        self.filtered = {"categories": ["business"], "published_only": True}
        self.matching = sum(card["category"] == "BUSINESS" for card in cards.dicts)
        with database.in_use():
            self._engine = Engine(self._owner)
            for _ in range(LISTED):  # a list to ask for
                self.warm_up()

    @property
    def all(self) -> int:
        """How many cards one import has."""
        return len(self._cards)

    def warm_up(self) -> None:
        """Connections are made; the few cards of it are gone again."""
        few = self._cards.raws[:10]
        made = self._engine.stage_import(few, _PART)
        self._engine.run(made)
        ids = [card_id(made, index) for index in range(len(few))]
        self._engine.run(self._engine.stage_delete(ids, soft=False))

    def timed(self, act: Callable[[], int], expected: int) -> float:
        """Seconds of one act.

        Raises:
            WrongCount: it gave another number of cards than ``expected``.
        """
        began = time.perf_counter()
        found = act()
        seconds = time.perf_counter() - began
        if found != expected:
            raise WrongCount(f"growth: {found} cards instead of {expected}")
        return seconds

    def called(self, call: Callable[[], Any]) -> float:
        """Seconds of one of many calls."""
        for _ in range(5):
            call()
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        return (time.perf_counter() - began) / CALLS

    def create(self) -> int:
        """Import all; how many were imported."""
        self._made = self._engine.stage_import(self._cards.raws, _PART)
        return self._ran(self._made, "cards_imported")

    def skip(self) -> int:
        """Import the same again where duplicates are skipped; how many were new."""
        again = self._engine.stage_import(self._cards.raws, _PART, on_duplicate="skip")
        if self._ran(again, "cards_skipped") != len(self._cards):
            raise WrongCount("growth: duplicates were not found")
        return self._ran(again, "cards_imported")

    def export(self, filters: dict[str, Any]) -> int:
        """Export the owner's cards; how many there were."""
        return run_export(self._owner, new_operation_id(), {"format": "ndjson", **filters}).cards

    def delete(self, *, soft: bool) -> int:
        """Delete all; how many were deleted. Those deleted softly are there to be deleted for good."""
        assert self._made is not None
        ids = [card_id(self._made, index) for index in range(len(self._cards))]
        return self._ran(self._engine.stage_delete(ids, soft=soft), "cards_deleted")

    def status(self) -> None:
        """As ``GET /bulk/status/{id}`` asks."""
        assert self._made is not None
        with unit_of_work(self._owner) as connection:
            report.current(connection, self._owner, self._made)

    def list_operations(self) -> None:
        """As ``GET /bulk/operations`` asks."""
        with unit_of_work(self._owner) as connection:
            found = store.page(connection, self._owner, 51)
            store.totals_of(connection, [one.id for one in found if one.state not in FINAL])

    def _ran(self, operation: UUID, count: str) -> int:
        self._engine.run(operation)
        with unit_of_work(self._owner) as connection:
            done = report.current(connection, self._owner, operation)
        assert done is not None
        return int(done["result"].get(count, 0))


# What is timed, in the order in which one owner does it: seconds of all his cards, or of one call.
WORK: dict[str, Callable[[_Owner], float]] = {
    "import": lambda owner: owner.timed(owner.create, owner.all),
    "import, skipping duplicates": lambda owner: owner.timed(owner.skip, 0),
    "export": lambda owner: owner.timed(lambda: owner.export({}), owner.all),
    "filtered export": lambda owner: owner.timed(lambda: owner.export(owner.filtered), owner.matching),
    "status": lambda owner: owner.called(owner.status),
    "list of operations": lambda owner: owner.called(owner.list_operations),
    "soft delete": lambda owner: owner.timed(lambda: owner.delete(soft=True), owner.all),
    "hard delete": lambda owner: owner.timed(lambda: owner.delete(soft=False), owner.all),
}
CALLED = ("status", "list of operations")
