"""The report: report.json, report.md and one plot per group, in ``benchmarks/results``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Measurement, Result
from benchmarks.options import Options

RESULTS = Path(__file__).with_name("results")
# How a group is headed; groups that are not here come last, under their own name.
TITLES = {
    "import": "Import",
    "export": "Export",
    "delete": "Delete",
    "status": "Status calls while importing",
    "cpu": "Processor time",
    "memory": "Memory",
    "peers": "Peers",
    "growth": "Growth",
    "bloat": "Bloat",
    "concurrency": "Concurrency",
}


def machine() -> dict[str, Any]:
    """What the figures depend on, without anything that names the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS.parent, capture_output=True, text=True
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(
    results: Sequence[Result],
    options: Options,
    machine: Mapping[str, Any],
    postgres: Mapping[str, str],
    seconds: float,
    folder: Path = RESULTS,
) -> list[Path]:
    """Write every file of the report; those that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {**machine, "load_after": round(os.getloadavg()[0], 2)},
        "options": {"cards": options.cards, "rounds": options.rounds, "against": list(options.against)},
        "postgresql": dict(postgres),
        "seconds": round(seconds, 1),
        "results": [result.as_json() for result in results],
    }
    files = [folder / "report.json", folder / "report.md"]
    files[0].write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    files[1].write_text(markdown(results, document), encoding="utf-8")
    if find_spec("matplotlib") is None:  # it comes with `make bench`, not with what tests need
        return files
    from benchmarks import plots  # here, because matplotlib takes a second to import

    return files + plots.draw(results, folder)


def markdown(results: Sequence[Result], document: Mapping[str, Any]) -> str:
    """The report as one page."""
    here, options = document["machine"], document["options"]
    lines = [
        "# Benchmark report",
        "",
        f"{here['date']}, commit {here['commit']}: {here['cores']} cores, {here['memory_gib']} GiB, "
        f"Linux {here['kernel']}, Python {here['python']}, load {here['load_before']} before "
        f"and {here['load_after']} after. "
        f"{options['cards']:,} cards, {options['rounds']} rounds, {document['seconds']:.0f} s altogether.",
        "",
        "Ratio: the other side's seconds / ours, in the same round on the same server; the median over the "
        "rounds, and the smallest and largest. Above 1 we are faster. Absolute seconds are medians of this "
        "run only.",
        "",
    ]
    for group in groups(results):
        lines += [f"## {TITLES.get(group, group.capitalize())}", ""]
        own = [result for result in results if result.group == group]
        lines += _comparisons([one for one in own if isinstance(one, Measurement)])
        lines += _figures([one for one in own if isinstance(one, Figure)])
    lines += ["## PostgreSQL", "", "| setting | value |", "| --- | --- |"]
    lines += [f"| `{name}` | {value} |" for name, value in document["postgresql"].items()]
    return "\n".join(lines) + "\n"


def summary(results: Sequence[Result]) -> str:
    """Which goals are reached and which are missed, a line each."""
    lines = []
    for result in results:
        if result.reached is None:
            continue
        if isinstance(result, Measurement):
            figure = f"{result.ratio:.2f} of {result.against}, at least {result.goal:.2f}"
        else:
            figure = f"{result.value:.1f} {result.unit}, at most {result.at_most:g}"
        word = "reached" if result.reached else "MISSED "
        lines.append(f"{word} {result.group}: {result.name}: {figure}")
    reached = sum(line.startswith("reached") for line in lines)
    return "\n".join([*lines, f"{reached} of {len(lines)} goals reached"])


def groups(results: Sequence[Result]) -> list[str]:
    """The groups that have results, in the order of the report."""
    there = list(dict.fromkeys(result.group for result in results))
    return [name for name in TITLES if name in there] + [name for name in there if name not in TITLES]


def _comparisons(results: Sequence[Measurement]) -> list[str]:
    if not results:
        return []
    from statistics import median

    lines = [
        "| what | cards | ours s | other s | against | ratio | spread | at least | stretch | |",
        "| --- | ---: | ---: | ---: | --- | ---: | --- | ---: | ---: | --- |",
    ]
    for one in results:
        low, high = one.spread
        ours, other = median(one.ours), median(one.limit)
        lines.append(
            f"| {one.name} | {one.cards:,} | {ours:.3f} | {other:.3f} | {one.against} "
            f"| **{one.ratio:.2f}** | {low:.2f}–{high:.2f} | {_number(one.goal)} | {_number(one.stretch)} "
            f"| {_verdict(one)} |"
        )
    return [*lines, "", *_notes(results)]


def _figures(results: Sequence[Figure]) -> list[str]:
    if not results:
        return []
    lines = ["| what | value | at most | stretch | |", "| --- | ---: | ---: | ---: | --- |"]
    for one in results:
        lines.append(
            f"| {one.name} | {one.value:.2f} {one.unit} | {_number(one.at_most)} | {_number(one.stretch)} "
            f"| {_verdict(one)} |"
        )
    return [*lines, "", *_notes(results)]


def _notes(results: Sequence[Result]) -> list[str]:
    """Each note once, with all that it is about."""
    about: dict[str, list[str]] = {}
    for one in results:
        if one.note:
            about.setdefault(one.note, []).append(one.name)
    notes = [f"- {'; '.join(names)}: {note}" for note, names in about.items()]
    return [*notes, ""] if notes else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _verdict(result: Result) -> str:
    if result.reached is None:
        return ""
    if not result.reached:
        return "**missed**"
    return "reached, and the stretch" if result.stretched else "reached"
