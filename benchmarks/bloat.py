"""Bloat: tables and indexes after rounds of import and hard delete, with autovacuum as it is set.

Every round adds cards and removes them again, so that nothing is left but the space they took. Rounds
first come one right after another, faster than autovacuum looks (``autovacuum_naptime``); that is the space
to start from, after two such bursts, because index pages are free for others one vacuum after they were
emptied. Then each round waits until autovacuum has been there, as it has in a day's use; then there is a
burst again. Sizes are those of PostgreSQL's files.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

from backend.core.ids import card_id
from benchmarks import servers
from benchmarks.engine import Engine
from benchmarks.figures import Figure, Result, WrongCount
from benchmarks.filling import Filling
from benchmarks.options import Options
from benchmarks.rows import Cards
from benchmarks.servers import Database

ROUNDS = 10
MIB = 1024 * 1024
FLAT = 1.1  # the size after the calm rounds / the size that a burst leaves
BURST = 1.2  # after another burst: autovacuum may come a round or two of ten earlier or later in it
PATIENCE_SECONDS = 120
_PART = 1_000
# Tables that rounds empty again; the ledger and operations keep their rows, and grow.
_SIZES = """
    SELECT c.relname, pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
    FROM pg_class c WHERE c.oid = 'cards'::regclass
    UNION ALL
    SELECT i.indexrelid::regclass::text, pg_relation_size(i.indexrelid)
    FROM pg_index i WHERE i.indrelid = 'cards'::regclass
    UNION ALL
    SELECT 'operation_parts, payloads', pg_relation_size(reltoastrelid)
    FROM pg_class WHERE oid = 'operation_parts'::regclass
"""
_AUTOVACUUMS = "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 'cards'"

say = functools.partial(print, flush=True)


def run(options: Options) -> Iterator[Result]:
    """On a server of its own, with ten times as many cards in the table as one round adds."""
    with servers.database() as database:
        yield from rounds(database, options)


def rounds(database: Database, options: Options) -> Iterator[Figure]:
    """A burst of rounds, rounds that wait for autovacuum, and a burst again.

    Raises:
        WrongCount: cards are left, or autovacuum did not come in two minutes.
    """
    filling = Filling(database, options.many, seed=options.seed)
    filling.to(options.many, say)
    work = _Rounds(database, Cards(options.cards, options.seed))
    empty = work.sizes()
    work.then_vacuumed(ROUNDS)
    work.burst(ROUNDS)
    burst = work.sizes()
    for number in range(ROUNDS):
        seconds = work.then_vacuumed(1)
        say(f"round {number + 1} of {ROUNDS}: autovacuum came after {seconds:.0f} s")
    calm = work.sizes()
    work.burst(ROUNDS)
    again = work.sizes()
    for name, size in burst.items():
        details = {"empty": empty[name], "burst": size, "calm": calm[name], "again": again[name]}
        shown = ", ".join(f"{what} {value / MIB:.1f} MiB" for what, value in details.items())
        note = f"{options.cards:,} cards a round; {shown}"
        yield Figure(
            "bloat", f"{name}, {ROUNDS} calm rounds after a burst", calm[name] / size, "times",
            at_most=FLAT, stretch=1.0, note=note, details=details,
        )  # fmt: skip
        yield Figure(
            "bloat", f"{name}, another burst of {ROUNDS} rounds", again[name] / size, "times",
            at_most=BURST, stretch=1.0, details=details,
        )  # fmt: skip


class _Rounds:
    """Rounds of one owner."""

    def __init__(self, database: Database, cards: Cards) -> None:
        self._database, self._cards = database, cards
        self._owner = database.new_owner()
        self._engine = Engine(self._owner)

    def burst(self, count: int) -> None:
        """So many imports and deletes of all that was imported, without a pause."""
        for _ in range(count):
            made = self._engine.stage_import(self._cards.raws, _PART)
            self._engine.run(made)
            ids = [card_id(made, index) for index in range(len(self._cards))]
            self._engine.run(self._engine.stage_delete(ids, soft=False))
        left = self._database.count_cards(self._owner, "true")
        if left:
            raise WrongCount(f"bloat: {left} cards are left")

    def then_vacuumed(self, count: int) -> float:
        """A burst; seconds from its end until autovacuum has been at the cards since it began.

        Raises:
            WrongCount: it did not come in two minutes.
        """
        before = self._autovacuums()
        self.burst(count)
        began = time.monotonic()
        while self._autovacuums() == before:
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise WrongCount("bloat: autovacuum did not come")
            time.sleep(0.5)
        return time.monotonic() - began

    def sizes(self) -> dict[str, int]:
        """Bytes by table and index."""
        with self._database.connect() as connection:
            return {str(name): int(size) for name, size in connection.execute(_SIZES)}

    def _autovacuums(self) -> int:
        return int(self._database.value(_AUTOVACUUMS))
