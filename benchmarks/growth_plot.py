"""The plot of growth: what a card costs, over the size of the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Measurement
from benchmarks.growth import CALLED, GROWTH, SMALL, STRETCH

_COLORS = ("#1f6f8b", "#b3412f", "#4f7f3a", "#8a5aa8", "#c08a1e", "#3b3b3b", "#c05a8a", "#5a8ac0")


def draw(results: Sequence[Measurement], axes: Any) -> None:
    """Onto two axes: microseconds per card or call, and the cost as a multiple of the small table's."""
    left, right = axes
    names = dict.fromkeys(one.details["what"] for one in results)
    for name, color in zip(names, _COLORS, strict=False):
        own = sorted(
            (one for one in results if one.details["what"] == name), key=lambda one: one.details["table"]
        )
        tables = [SMALL, *(one.details["table"] for one in own)]
        first = median(own[0].limit) / own[0].cards
        costs = [first * 1e6, *(median(one.ours) / one.cards * 1e6 for one in own)]
        growths = [1.0, *(1 / one.ratio for one in own)]
        label = f"{name} (a call)" if name in CALLED else name
        left.plot(tables, costs, color=color, marker="o", linewidth=2, label=label)
        right.plot(tables, growths, color=color, marker="o", linewidth=2, label=label)
    for bound, style, label in ((GROWTH, "-", "at most"), (STRETCH, ":", "stretch")):
        right.axhline(bound, color="#8a8a8a", linewidth=1.5, linestyle=style, label=label)
    left.set_yscale("log")
    left.set_ylabel("microseconds per card, or per call (median, logarithmic)")
    right.set_ylabel(f"cost / cost at {SMALL:,} cards, in the same round")
    right.set_ylim(bottom=0)
    for one in axes:
        one.set_xscale("log")
        one.set_xlabel("cards in the table")
        one.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
        one.grid(alpha=0.3)
    right.legend(fontsize="small", frameon=False, loc="lower left", ncols=2)


def files(results: Sequence[Any], folder: Path) -> list[Path]:
    """Write ``growth.png`` and ``growth.svg`` where there are results of the group; the files."""
    from matplotlib import pyplot

    from benchmarks.plots import save

    own = [one for one in results if isinstance(one, Measurement) and one.group == "growth"]
    if not own:
        return []
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
    draw(own, axes)
    figure.suptitle("growth: what a card costs in a table of so many cards")
    written = save(figure, folder / "growth")
    pyplot.close(figure)
    return written
