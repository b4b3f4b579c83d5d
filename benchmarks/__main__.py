"""``python -m benchmarks [GROUP …]``: measure, print which goals are reached, write benchmarks/results.

Groups: import, export, delete, peers (these without arguments), growth, bloat, concurrency. The exit
status is 0 whether or not goals are reached, and 1 when any side did not handle the cards it was given.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import report, servers
from benchmarks.figures import Result, WrongCount
from benchmarks.options import PEERS, Options

# A module with ``run(options) -> Iterable[Result]`` each, imported when it is asked for.
GROUPS = {
    "import": "benchmarks.importing",
    "export": "benchmarks.exporting",
    "delete": "benchmarks.deleting",
    "peers": "benchmarks.peers.running",
    "growth": "benchmarks.growth",
    "bloat": "benchmarks.bloat",
    "concurrency": "benchmarks.concurrency",
}
DEFAULT = ("import", "export", "delete", "peers")
DEFAULTS = Options()


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit status."""
    options, groups, folder = _read(arguments)
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        return _measure(options, groups, folder)
    finally:
        logging.disable(before)


def _measure(options: Options, groups: Sequence[str], folder: Path) -> int:
    here = report.machine()
    with servers.database() as database:
        postgres = database.settings()
    began = time.monotonic()
    results: list[Result] = []
    wrong: list[str] = []
    for group in groups:
        print(f"== {group}", flush=True)
        run: Callable[[Options], Iterable[Result]] = import_module(GROUPS[group]).run
        try:
            for result in run(options):
                results.append(result)
                print(_line(result), flush=True)
        except WrongCount as error:
            wrong.append(f"{group}: {error}")
            print(f"WRONG {error}", flush=True)
    seconds = time.monotonic() - began
    print(f"== {seconds:.0f} s\n{report.summary(results)}")
    for path in report.write(results, options, here, postgres, seconds, folder):
        print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


def arguments_parser() -> argparse.ArgumentParser:
    """What the program can be told."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument(
        "--cards", type=int, default=DEFAULTS.cards, help="of one request; files carry ten times"
    )
    parser.add_argument("--rounds", type=int, default=DEFAULTS.rounds)
    parser.add_argument("--against", default=",".join(PEERS), help="peers, separated by commas; '' for none")
    parser.add_argument(
        "--peers-dir", type=Path, help="where Directus and its Node are installed and found again"
    )
    parser.add_argument(
        "--growth-to", type=int, default=DEFAULTS.growth_to, help="cards that `growth` fills the tables to"
    )
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder of the report")
    return parser


def _read(arguments: list[str] | None) -> tuple[Options, list[str], Path]:
    parser = arguments_parser()
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.groups) - set(GROUPS))
    against = tuple(name for name in given.against.split(",") if name)
    unknown += sorted(set(against) - set(PEERS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if not 10 <= given.cards <= 10_000:
        parser.error("--cards: 10 to 10,000, the documented limit of one request")
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    if given.growth_to < 10_000:
        parser.error("--growth-to: at least 10,000")
    options = Options(
        given.cards, given.rounds, against, peers_folder=given.peers_dir, growth_to=given.growth_to
    )
    return options, given.groups or list(DEFAULT), given.results


def _line(result: Result) -> str:
    shown = result.as_json()
    if shown["kind"] == "figure":
        return f"{result.name:<48} {shown['value']} {shown['unit']}"
    low, high = shown["spread"]
    return f"{result.name:<48} {shown['ratio']:.2f} ({low:.2f}-{high:.2f}) of {shown['against']}"


if __name__ == "__main__":
    sys.exit(main())
