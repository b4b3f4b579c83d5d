"""What a side costs in processor time: unlike seconds on the clock, hardly changed by a busy machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from statistics import median
from typing import Any

import psutil

from benchmarks.figures import Figure
from benchmarks.measure import Side
from benchmarks.servers import RunningStack

KINDS = {"api": "API", "worker": "workers", "postgres": "PostgreSQL"}
PER_CARDS = 10_000
Spent = dict[str, float]


def counted(side: Side, stack: RunningStack, rounds: list[Spent]) -> Side:
    """The same side; each time it ran, ``rounds`` gets the seconds of processor time that each kind of
    process of the stack spent meanwhile."""

    def prepare() -> tuple[Any, Spent]:
        prepared = side.prepare()
        return prepared, _spent(stack)

    def check(prepared: tuple[Any, Spent], result: Any) -> int:
        after = _spent(stack)
        rounds.append({kind: after[kind] - prepared[1][kind] for kind in after})
        return side.check(prepared[0], result)

    return Side(lambda prepared: side.run(prepared[0]), check, side.expected, prepare)


def figures(name: str, rounds: Sequence[Spent], cards: int, kinds: Iterable[str] = KINDS) -> Iterator[Figure]:
    """Medians per 10,000 cards, by kind of process."""
    for kind in kinds:
        spent = median(one[kind] for one in rounds) * PER_CARDS / cards
        yield Figure("cpu", f"{name}: {KINDS[kind]}", spent, f"s per {PER_CARDS:,} cards")


def _spent(stack: RunningStack) -> Spent:
    seconds: Spent = defaultdict(float)
    for kind in KINDS:
        pids = stack.pids[kind]
        for pid in pids if isinstance(pids, list) else [pids]:
            with suppress(psutil.NoSuchProcess):
                top = psutil.Process(pid)
                for process in (top, *top.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        seconds[kind] += sum(process.cpu_times()[:4])  # its own and its ended children's
    return dict(seconds)
