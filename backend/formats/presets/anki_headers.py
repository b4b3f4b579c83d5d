"""The header lines of an Anki text export: ``#separator:tab``, ``#html:true``, ``#tags column:6`` …

They are ``#key:value`` pairs at the top of the file; a line ``tags:one two`` may precede them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

SEPARATORS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "space": " ",
    "pipe": "|",
    "colon": ":",
}
_COLUMNS = frozenset({"guid column", "notetype column", "deck column", "tags column"})
_TEXTS = frozenset({"deck", "notetype", "tags"})
# Looked for in the first line where no header names the separator, as Anki does.
_GUESSES = ("\t", ";", ",", "|")


def read_headers(lines: Iterator[str]) -> tuple[dict[str, Any], str]:
    """Take the header lines from ``lines``.

    Returns:
        The headers (``html`` true, false or null; ``columns`` a list; columns 1-based numbers; texts) with
        ``separator`` always set, and the first line that is no header, ``""`` where there is none.
    """
    headers: dict[str, Any] = {"html": None}
    columns = ""
    first = ""
    for line in lines:
        bare = line.rstrip("\r\n")
        if bare.lower().startswith("tags:") and "\t" not in bare:
            _add_tags(headers, bare[5:])
        elif not bare.startswith("#"):
            if bare.strip():
                first = line
                break
        else:
            name, _, value = bare[1:].partition(":")
            if name.strip().lower() == "columns":
                columns = value
            else:
                _take(headers, name.strip().lower(), value)
    headers.setdefault("separator", next((mark for mark in _GUESSES if mark in first), "\t"))
    if columns:
        headers["columns"] = [name.strip() for name in columns.split(headers["separator"])]
        _named_columns(headers, headers["columns"])
    return headers, first


def _take(headers: dict[str, Any], name: str, value: str) -> None:
    """One header; a line that is none is a comment, and says nothing."""
    bare = value.strip()
    if name == "separator":
        mark = SEPARATORS.get(bare.lower(), value[:1])
        if mark and mark not in '"\r\n':
            headers["separator"] = mark
    elif name == "html" and bare.lower() in {"true", "false"}:
        headers["html"] = bare.lower() == "true"
    elif name in _COLUMNS and bare.isascii() and bare.isdigit() and 1 <= len(bare) <= 4 and int(bare) > 0:
        headers[name] = int(bare)
    elif name == "tags":
        _add_tags(headers, bare)
    elif name in _TEXTS and bare:
        headers[name] = bare


def _add_tags(headers: dict[str, Any], text: str) -> None:
    headers["tags"] = " ".join([*headers.get("tags", "").split(), *text.split()])


def _named_columns(headers: dict[str, Any], names: Iterable[str]) -> None:
    """``#columns:`` may name the special columns themselves."""
    for place, name in enumerate(names, start=1):
        key = f"{name.lower()} column"
        if key in _COLUMNS:
            headers.setdefault(key, place)
