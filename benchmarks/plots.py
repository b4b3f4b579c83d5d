"""Plots of a report: ours as a line beside COPY's (or whatever it is against), and the ratio of the two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Measurement, Result

_OURS, _LIMIT, _GOAL = "#1f6f8b", "#b3412f", "#8a8a8a"


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """A PNG and an SVG per group that has comparisons; the files."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "extrophi"  # the same figures give the same file
    from matplotlib import pyplot

    from benchmarks import growth_plot

    files = []
    comparisons = [one for one in results if isinstance(one, Measurement) and one.plot]
    for group in dict.fromkeys(one.group for one in comparisons):
        own = [one for one in comparisons if one.group == group]
        size = (13, 1.6 + 0.42 * len(own))
        figure, (left, right) = pyplot.subplots(1, 2, sharey=True, figsize=size, layout="constrained")
        _lines(left, own)
        _bars(right, own)
        figure.suptitle(f"{group}: how near to the limit")
        files += save(figure, folder / group)
        pyplot.close(figure)
    return files + growth_plot.files(results, folder)


def save(figure: Any, path: Path) -> list[Path]:
    """``path`` with .png and .svg, without a date inside; the files."""
    png, svg = path.with_suffix(".png"), path.with_suffix(".svg")
    figure.savefig(png, dpi=110)
    figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def _lines(axes: Any, own: Sequence[Measurement]) -> None:
    """Cards a second, as medians: ours as one line, the other side's as another."""
    places = list(range(len(own)))[::-1]
    sides = (("the other side", _LIMIT, "limit"), ("ours", _OURS, "ours"))
    low, high = float("inf"), 0.0
    for label, color, name in sides:
        rates = [one.cards / median(getattr(one, name)) for one in own]
        axes.plot(rates, places, color=color, marker="o", linewidth=2, label=_label(label, own))
        low, high = min(low, *rates), max(high, *rates)
    names = [one.name if _one_side(own) else f"{one.name} / {one.against}" for one in own]
    axes.set_yticks(places, names)
    axes.set_xscale("log")
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(lambda rate, _: f"{rate:,.0f}" if high < 10 * low or f"{rate:.0f}"[0] in "125" else "")
    axes.tick_params(axis="x", which="both", labelsize=7, rotation=45)
    axes.set_xlabel("cards a second (median, logarithmic)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize="small", frameon=False)


def _bars(axes: Any, own: Sequence[Measurement]) -> None:
    """The ratio of each round: the median as a bar, the smallest and largest as whiskers."""
    places = list(range(len(own)))[::-1]
    ratios = [one.ratio for one in own]
    errors = [
        [one.ratio - one.spread[0] for one in own],
        [one.spread[1] - one.ratio for one in own],
    ]
    axes.barh(places, ratios, xerr=errors, height=0.6, color=_OURS, ecolor="black", capsize=2, label="ours")
    axes.axvline(1, color=_LIMIT, linewidth=2, label=_label("the other side", own))
    for place, one in zip(places, own, strict=True):
        if one.goal is not None:
            axes.plot([one.goal] * 2, [place - 0.38, place + 0.38], color=_GOAL, linewidth=3)
    if any(one.goal is not None for one in own):
        axes.plot([], [], color=_GOAL, linewidth=3, label="at least")
    if max(ratios) > 8:  # beside slow peers
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("ratio of seconds: the other side's / ours (above 1: we are faster)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize="small", frameon=False)


def _one_side(own: Sequence[Measurement]) -> bool:
    return len({one.against for one in own}) == 1


def _label(label: str, own: Sequence[Measurement]) -> str:
    return own[0].against if label != "ours" and _one_side(own) else label
