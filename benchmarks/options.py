"""What a run of the benchmarks is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PEERS = ("django", "orm", "directus")


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes and peers of a run.

    Attributes:
        cards: cards of one import request and of one delete (at most 10,000: the documented limit).
        rounds: how often each side of a comparison is timed, after one round that is not counted.
        against: peers to measure against, of ``PEERS``.
        seed: of the sample cards; the same seed gives the same cards.
        growth_to: the most cards that the tables are filled to, to see what grows with them.
        peers_folder: where peers from outside Python are installed; a folder of the user's cache when None.
    """

    cards: int = 10_000
    rounds: int = 5
    against: tuple[str, ...] = PEERS
    seed: int = 2025
    peers_folder: Path | None = None
    growth_to: int = 1_000_000

    @property
    def many(self) -> int:
        """Cards of a file and of an export: ten times as many."""
        return self.cards * 10

    @property
    def few_rounds(self) -> int:
        """Rounds of the comparisons that take seconds each: fewer, at least one."""
        return max(1, min(self.rounds, 3))
