"""HTML of a flashcard field as plain text.

Blocks and ``<br>`` become line breaks, list items get a dash, a picture becomes ``![](source)`` and a link
keeps its address; everything else keeps its text only. Comments, scripts and styles are dropped.

The tags are found by one pass of a regular expression and not by ``html.parser``, whose time grows with
the square of some hostile inputs.
"""

from __future__ import annotations

import html
import re

_BLOCKS = frozenset(
    {"div", "p", "ul", "ol", "table", "tr", "blockquote", "pre", "hr", "section"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
)
_DROPPED = frozenset({"script", "style"})
# No "<" inside a tag: an unclosed one ends at the next, so that the search never goes over a text twice.
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)(?P<attributes>[^<>]*)>|<!--")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ATTRIBUTE = re.compile(r"""\b(src|alt|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


def looks_like_html(text: str) -> bool:
    """Whether there is a tag, a comment or a character reference in it."""
    return _TAG.search(text) is not None or _REFERENCE.search(text) is not None


def html_to_text(source: str) -> str:
    """The text of an HTML fragment. Never raises: what is not HTML stays as it is."""
    pieces = _Pieces()
    position = 0
    while (found := _TAG.search(source, position)) is not None:
        pieces.text(source[position : found.start()])
        position = found.end()
        if found["name"] is None:
            closed = source.find("-->", position)
            if closed < 0:  # a comment that never ends is text
                pieces.text(source[found.start() :])
                return pieces.result()
            position = closed + 3
        elif found["end"]:
            pieces.close(found["name"].lower())
        else:
            pieces.open(found["name"].lower(), found["attributes"])
    pieces.text(source[position:])
    return pieces.result()


class _Pieces:
    """The text so far, with just as many line breaks as blocks need."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._dropping = ""
        self._link = ""

    def text(self, source: str) -> None:
        if source and not self._dropping:
            self._pieces.append(
                _REFERENCE.sub(lambda found: html.unescape(found[0]), source).replace("\xa0", " ")
            )

    def open(self, name: str, attributes: str) -> None:
        if name in _DROPPED:
            self._dropping = self._dropping or name
        elif name == "br":
            self._pieces.append("\n")
        elif name == "li":
            self._new_line()
            self._pieces.append("- ")
        elif name in _BLOCKS:
            self._new_line()
        elif name in {"td", "th"} and self._pieces and not self._pieces[-1].endswith("\n"):
            self._pieces.append("\t")
        elif name == "img":
            values = _attributes(attributes)
            if values.get("src"):
                self._pieces.append(f"![{values.get('alt', '')}]({values['src']})")
        elif name == "a":
            self._link = _attributes(attributes).get("href", "")

    def close(self, name: str) -> None:
        if name == self._dropping:
            self._dropping = ""
        elif name in _BLOCKS or name == "li":
            self._new_line()
        elif name == "a" and self._link:
            if not (self._pieces and self._pieces[-1].endswith(self._link)):
                self._pieces.append(f" ({self._link})")
            self._link = ""

    def _new_line(self) -> None:
        if self._pieces and not self._pieces[-1].endswith("\n"):
            self._pieces.append("\n")

    def result(self) -> str:
        return "".join(self._pieces).strip("\n")


def _attributes(text: str) -> dict[str, str]:
    return {
        name.lower(): html.unescape(double or single or bare)
        for name, double, single, bare in _ATTRIBUTE.findall(text[:4_096])
    }
