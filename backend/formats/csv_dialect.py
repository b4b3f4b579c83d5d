"""How a delimited text is written: its delimiter, its quotes, its escapes; found out from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from backend.formats.fields import placed

DELIMITERS = (",", ";", "\t", "|")
# What spreadsheets write in front of a header to say what cuts the cells: "sep=;".
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*\Z', re.IGNORECASE)
_CUT_OFF = "unexpected end of data"  # the csv module's words where a quote is still open


@dataclass(frozen=True, slots=True)
class Dialect:
    """A quote inside of a quoted cell is doubled; an ``escape`` may stand before it too."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None


def named_delimiter(line: str) -> str | None:
    """The delimiter that a line such as ``sep=;`` names; ``None`` for any other line."""
    found = _SEPARATOR_LINE.match(line)
    return found[1] if found else None


def sniff(header: str, following: Sequence[str], delimiter: str | None = None) -> Dialect:
    """The dialect of a text.

    The delimiter is the one of comma, semicolon, tab and bar that finds the most of a card's fields in the
    header, and of several the one that finds the most cells. Single quotes are quotes where every name in the
    header stands in them. Backslashes are escapes where without them the lines break the rules of quoting,
    and with them do not: ``"say \\"hi\\", then"``.

    Args:
        header: the first line that is not blank.
        following: lines after it, as many as are at hand; the last record may be cut off.
        delimiter: where the file names it.
    """
    mark = delimiter or max(DELIMITERS, key=lambda one: _score(_cells(header, one)))
    quote = "'" if all(_is_quoted(cell) for cell in _cells(header, mark)) else '"'
    lines = (header, *following)
    if any("\\" + quote in line for line in lines):
        plain, escaped = Dialect(mark, quote), Dialect(mark, quote, "\\")
        if not _is_sound(lines, plain) and _is_sound(lines, escaped):
            return escaped
    return Dialect(mark, quote)


def _cells(header: str, delimiter: str) -> list[str]:
    return next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter), [])


def _score(cells: list[str]) -> tuple[int, int]:
    known = placed([cell.strip("'") for cell in cells])
    return sum(place is not None for place in known), len(cells)


def _is_quoted(cell: str) -> bool:
    return len(cell) >= 2 and cell[0] == cell[-1] == "'"


def _is_sound(lines: Sequence[str], dialect: Dialect) -> bool:
    """Whether every quote that closes a cell stands at its end."""
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        strict=True,
    )
    try:
        for _ in reader:
            pass
    except csv.Error as error:
        return _CUT_OFF in str(error)
    return True
