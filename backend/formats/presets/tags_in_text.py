"""Obsidian's ``#tags`` in the text of a note.

A tag starts at a ``#`` that follows white space or begins a line, and holds letters of any script, digits,
``_``, ``-``, ``/`` (nesting) and emoji, at least one of them no digit. Nothing in code, headings, links,
wikilinks, comments, formulas or URLs is a tag.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"[ \t>]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(?P<fence>`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
# What may hold a "#" that is no tag, within a line. Every repeat is bounded, so a hostile line stays cheap.
_MASKED = re.compile(
    r"(?<!`)(?P<ticks>`{1,8})(?!`)[^\n]{0,2000}?(?<!`)(?P=ticks)(?!`)"
    r"|\[\[[^\[\]\n]{0,1000}\]\]"
    r"|\]\([^()\n]{0,2000}\)"
    r"|<[^<>\n]{0,1000}>"
    r"|\$\$[^$\n]{1,1000}\$\$"
)
_TAG = re.compile(
    r"(?<!\S)#(?P<tag>[^\s!\"#$%&'()*+,.:;<=>?@\[\]\\^`{|}~\u2000-\u200c\u200e-\u206f\u2e00-\u2e7f\u3000-\u303f]+)"
)


def tags_in(text: str) -> list[str]:
    """The tags without ``#``, each once, in the order of the text."""
    if "#" not in text:
        return []
    found: dict[str, None] = {}
    for line in _prose(text):
        if "#" not in line:
            continue
        for match in _TAG.finditer(_MASKED.sub(" x ", line)):
            tag = match["tag"].strip("/")
            if tag and not tag.replace("/", "").isdigit():
                found[tag] = None
    return list(found)


def _prose(text: str) -> list[str]:
    """The lines that are neither code nor heading nor inside an HTML comment or a block of formulas."""
    lines: list[str] = []
    fence, formula, comment = "", False, False
    after_blank, in_list = True, False
    for line in text.splitlines():
        blank = not line.strip()
        opening = _FENCE.match(line)
        if fence:
            if opening and opening["fence"].startswith(fence) and not line[opening.end() :].strip("`~ \t"):
                fence = ""
        elif comment:
            comment = "-->" not in line
        elif formula:
            formula = not line.rstrip().endswith("$$")
        elif opening:
            fence = opening["fence"]
        elif line.strip() == "$$":
            formula = True
        elif "<!--" in line and "-->" not in line.rsplit("<!--", 1)[1]:
            comment = True
            lines.append(line.rsplit("<!--", 1)[0])
        else:
            in_list = bool(_LIST_ITEM.match(line)) or (in_list and (blank or line[:1] in " \t"))
            indented_code = after_blank and not in_list and line.startswith(("    ", "\t"))
            if not blank and not indented_code and not _HEADING.match(line):
                lines.append(line)
            after_blank = blank or indented_code
            continue
        after_blank = False
    return lines
