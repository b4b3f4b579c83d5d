"""What a measurement gives: seconds side by side, or one figure with a bound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


class WrongCount(Exception):
    """A side did not do what it was asked for; its time means nothing."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds of ours beside seconds of something else that does the same, in one run.

    Attributes:
        group: import, export, delete, …: one section and one plot of the report.
        cards: how many cards each side handled per round.
        ours: seconds per round.
        limit: seconds per round of the other side; round for round measured right beside ours.
        against: what the other side is, as the table shows it.
        goal: the least ratio that is promised; ``stretch``: the one wished for. None: for information.
        plot: whether the plot shows it.
        details: anything else worth keeping in the JSON report (settings of a peer, sizes of files).
    """

    group: str
    name: str
    cards: int
    ours: tuple[float, ...]
    limit: tuple[float, ...]
    against: str = "COPY"
    goal: float | None = None
    stretch: float | None = None
    note: str = ""
    plot: bool = True
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ours or len(self.ours) != len(self.limit):
            raise ValueError(f"{self.name}: {len(self.ours)} rounds of ours, {len(self.limit)} of the limit")

    @property
    def ratios(self) -> tuple[float, ...]:
        """Per round: the other side's seconds / ours. Above 1 we are faster."""
        return tuple(limit / ours for ours, limit in zip(self.ours, self.limit, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios, so that a slow moment of the machine hits both sides."""
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio."""
        return min(self.ratios), max(self.ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        return None if self.goal is None else self.ratio >= self.goal

    @property
    def stretched(self) -> bool | None:
        """Whether the stretch goal is reached."""
        return None if self.stretch is None else self.ratio >= self.stretch

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "kind": "comparison",
            "group": self.group,
            "name": self.name,
            "cards": self.cards,
            "against": self.against,
            "ours_seconds": [round(seconds, 6) for seconds in self.ours],
            "limit_seconds": [round(seconds, 6) for seconds in self.limit],
            "ratio": round(self.ratio, 3),
            "spread": [round(value, 3) for value in self.spread],
            "goal": self.goal,
            "stretch": self.stretch,
            "reached": self.reached,
            "stretch_reached": self.stretched,
            "note": self.note,
            "details": self.details,
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, which is better the smaller it is: memory, a latency, a growth.

    Attributes:
        at_most: the bound that is promised; ``stretch``: the one that is wished for. None: for information.
    """

    group: str
    name: str
    value: float
    unit: str
    at_most: float | None = None
    stretch: float | None = None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the bound holds; None without one."""
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def stretched(self) -> bool | None:
        """Whether the stretch bound holds."""
        return None if self.stretch is None else self.value <= self.stretch

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "kind": "figure",
            "group": self.group,
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "at_most": self.at_most,
            "stretch": self.stretch,
            "reached": self.reached,
            "stretch_reached": self.stretched,
            "note": self.note,
            "details": self.details,
        }


Result = Measurement | Figure


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of all values do not exceed (nearest rank).

    Raises:
        ValueError: when there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = -(-len(ordered) * round(share * 1000) // 1000)
    return ordered[max(0, min(len(ordered), rank) - 1)]
