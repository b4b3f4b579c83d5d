"""How things are shown: text of cards and errors harmless, tables, one JSON document.

A card's title can hold anything, so also sequences that move the cursor, retitle the terminal or turn the
reading direction. ``clean`` makes each such character visible instead, and nothing from outside is ever read
as markup.
"""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Joiners are part of emoji and of several scripts, and change nothing around them.
_HARMLESS_FORMAT = frozenset("\u200c\u200d")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
CELL_CHARACTERS = 200
_SHOWN_AT_ONCE = 64 * 1024


def clean(value: object, most: int = CELL_CHARACTERS) -> str:
    r"""``value`` as one line that is safe on a terminal: controls, bidi marks as ``\x1b``, ``\u202e``.

    Line breaks and tabs become spaces; what is longer than ``most`` characters ends in an ellipsis.
    """
    text = "" if value is None else str(value)
    if len(text) > most:
        text = text[: most - 1] + "…"
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if unicodedata.category(character) not in _HIDDEN or character in _HARMLESS_FORMAT:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def out() -> Console:
    """Results go here."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), emoji=False)


def err() -> Console:
    """Everything else goes here: progress, warnings, errors."""
    return Console(stderr=True, highlight=False, emoji=False)


def say(message: str, *, style: str = "") -> None:
    """One line beside the results, on stderr."""
    err().print(Text(clean(message, 2000), style=style), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table of cleaned cells on stdout."""
    grid = Table(*columns, title=None if title is None else Text(clean(title)), title_justify="left")
    for row in rows:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    out().print(grid)


def facts(found: Mapping[str, object], *, title: str | None = None) -> None:
    """Names and values, one a line; lists and objects as JSON."""
    grid = Table(show_header=False, box=None, title=None if title is None else Text(clean(title)))
    grid.title_justify = "left"
    for name, value in found.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        grid.add_row(Text(clean(name).replace("_", " "), style="dim"), Text(clean(shown)))
    out().print(grid)


def document(found: Any) -> None:
    """The one JSON document of ``--json``, in ASCII: no text of a card reaches the terminal as it is."""
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()


def file(path: Path) -> None:
    """A file on stdout, byte for byte; on a terminal as text, with controls made visible."""
    with path.open("rb") as source:
        if not sys.stdout.isatty():
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        text = TextIOWrapper(source, "utf-8", errors="replace", newline="")
        while some := text.read(_SHOWN_AT_ONCE):
            sys.stdout.write("".join(one if one in "\n\t" else _shown(one) for one in some))
    sys.stdout.flush()


def streamed_document(name: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """``{name: [entries]}`` as one JSON document, written as the entries come.

    Nothing is written before the first one is there: what went wrong until then is the document instead.
    """
    coming = iter(entries)
    first = list(islice(coming, 1))
    sys.stdout.write(f'{{"{name}": [')
    for number, entry in enumerate(chain(first, coming)):
        sys.stdout.write(("," if number else "") + "\n  " + json.dumps(dict(entry), default=str))
    sys.stdout.write("\n]}\n")
    sys.stdout.flush()
