"""The documents as data: files, links, fenced blocks, tables.

Languages of fenced blocks: ``sh`` and ``python`` are run, page by page, in the order of the page; a
``text`` block right after one is what it prints (``…`` stands for anything); ``console`` is shown and not
run (see ``test_commands.py`` for what is checked instead); everything else is data.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
RUN = ("sh", "python")
SHOWN = ("console", "text")
DATA = ("json", "yaml", "csv", "markdown", "nginx", "ini", "mermaid", "http", "sql", "")

_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line it starts in."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """A Markdown file of this project."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[Block]:
        text = self.text
        found = [
            Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
            for match in _FENCE.finditer(text)
        ]
        return [block for block in found if not languages or block.language in languages]

    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def links(self) -> list[str]:
        return _LINK.findall(re.sub(r"`[^`\n]*`", "", self.prose()))

    def anchors(self) -> set[str]:
        """What a link to a heading of this page may end in, as code hosts make it."""
        found: set[str] = set()
        for heading in _HEADING.findall(self.prose()):
            plain = unicodedata.normalize("NFC", heading.replace("`", "")).lower()
            anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
            found.add(anchor)
        return found

    def table(self, heading: str) -> list[list[str]]:
        """The rows (without the header) of the first table below a heading; cells without back-ticks."""
        _, found, rest = f"\n{self.text}".partition(f"\n{heading}\n")
        assert found, f"{self.name} has no heading {heading!r}"
        lines: list[str] = []
        for line in rest.splitlines():
            if line.startswith("|"):
                lines.append(line)
            elif lines or line.startswith("#"):
                break
        rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines[2:]]
        return [[cell.strip().replace("\\|", "|").replace("`", "") for cell in row] for row in rows]


@cache
def pages() -> tuple[Page, ...]:
    """Every document that is for readers."""
    tops = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    return tuple(Page(path) for path in [*tops, *sorted(DOCS.rglob("*.md"))])


def page(name: str) -> Page:
    """One page by its path below the project's folder."""
    return Page(ROOT / name)
