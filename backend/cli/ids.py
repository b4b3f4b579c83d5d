"""Card ids from arguments, files and standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from backend.cli.failures import UsageProblem

_BETWEEN = re.compile(r"[\s,;]+")


def read_ids(arguments: Iterable[str], file: str | None) -> list[str]:
    """Every id once, in order. ``-`` is standard input; ids stand on lines or between commas.

    Raises:
        UsageProblem: for something that is not an id, and when there is none.
        OSError: when the file cannot be read.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        if argument == "-":
            _add(sys.stdin.read(), "standard input", found)
        else:
            _add(argument, "the arguments", found)
    if file is not None:
        text = (
            sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig", errors="replace")
        )
        _add(text, "standard input" if file == "-" else file, found)
    if not found:
        raise UsageProblem("No card ids given.")
    return list(found)


def _add(text: str, where: str, found: dict[str, None]) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        for word in filter(None, _BETWEEN.split(line.strip())):
            try:
                found[str(UUID(word.strip("\"'")))] = None
            except ValueError:
                raise UsageProblem(f"{where}, line {number}: this is not a card id: {word[:60]}") from None
