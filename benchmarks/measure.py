"""Time sides against each other, round by round, each from the same state, the order turned every round."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import WrongCount


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        run: what is timed; gets what ``prepare`` gave.
        prepare: makes the state that ``run`` starts from. Not timed.
        check: how many cards ``run`` handled, looked up afterwards in what it left behind. Not timed; gets
            what ``prepare`` gave and what ``run`` gave.
        expected: what ``check`` must give.
    """

    run: Callable[[Any], Any]
    check: Callable[[Any, Any], int]
    expected: int
    prepare: Callable[[], Any] = lambda: None


def alternate(
    sides: Mapping[str, Side],
    rounds: int,
    *,
    warm_up: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, tuple[float, ...]]:
    """The seconds of each side in each round: A B, B A, A B, …, after one round that is not counted.

    Args:
        warm_up: the round that is not counted; without it connections and caches are cold in the first one.
        say: told the times of each round.

    Raises:
        WrongCount: a side handled another number of cards than it was asked to.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(-1 if warm_up else 0, rounds):
        for name in names if number % 2 == 0 else reversed(names):
            taken = once(name, sides[name])
            if number >= 0:
                seconds[name].append(taken)
        if number >= 0:
            say(", ".join(f"{name} {values[-1]:.3f} s" for name, values in seconds.items()))
    return {name: tuple(values) for name, values in seconds.items()}


def once(name: str, side: Side) -> float:
    """Prepare, time and check one side once.

    Raises:
        WrongCount: see ``alternate``.
    """
    prepared = side.prepare()
    gc.collect()
    began = time.perf_counter()
    result = side.run(prepared)
    seconds = time.perf_counter() - began
    found = side.check(prepared, result)
    if found != side.expected:
        raise WrongCount(f"{name}: {found} cards instead of {side.expected}")
    return seconds
