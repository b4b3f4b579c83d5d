"""Plots of a report: ours as bars with their spread, COPY (or whatever it is against) as the line at 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Measurement, Result

_OURS, _LIMIT, _GOAL = "#1f6f8b", "#b3412f", "#8a8a8a"


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """One SVG per group that has comparisons; the files."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "extrophi"  # the same figures give the same file
    from matplotlib import pyplot

    files = []
    comparisons = [one for one in results if isinstance(one, Measurement) and one.plot]
    for group in dict.fromkeys(one.group for one in comparisons):
        own = [one for one in comparisons if one.group == group]
        figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.42 * len(own)), layout="constrained")
        _bars(axes, own)
        axes.set_title(f"{group}: how near to the limit")
        files += save(figure, folder / group)
        pyplot.close(figure)
    return files


def save(figure: Any, path: Path) -> list[Path]:
    """``path`` with .png and .svg, without a date inside; the files."""
    png, svg = path.with_suffix(".png"), path.with_suffix(".svg")
    figure.savefig(png, dpi=110)
    figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def _bars(axes: Any, own: Sequence[Measurement]) -> None:
    places = list(range(len(own)))[::-1]
    ratios = [one.ratio for one in own]
    errors = [
        [one.ratio - one.spread[0] for one in own],
        [one.spread[1] - one.ratio for one in own],
    ]
    axes.barh(places, ratios, xerr=errors, height=0.6, color=_OURS, ecolor="black", capsize=2, label="ours")
    sides = list(dict.fromkeys(one.against for one in own))
    axes.axvline(1, color=_LIMIT, linewidth=2, label=sides[0] if len(sides) == 1 else "the other side")
    for place, one in zip(places, own, strict=True):
        if one.goal is not None:
            axes.plot([one.goal] * 2, [place - 0.38, place + 0.38], color=_GOAL, linewidth=3)
    if any(one.goal is not None for one in own):
        axes.plot([], [], color=_GOAL, linewidth=3, label="at least")
    names = [one.name if len(sides) == 1 else f"{one.name} / {one.against}" for one in own]
    axes.set_yticks(places, names)
    if max(ratios) > 8:  # beside slow peers
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel("ratio of seconds: the other side's / ours (above 1: we are faster)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
