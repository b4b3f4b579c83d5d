"""What every preset needs to make a card out of foreign fields: a title that fits, tags, a URL, a category.

Nothing is thrown away: what does not fit its field goes to ``metadata``. The limits repeat those of
``backend.cards.schema`` (packages on one level do not import each other); a test holds them equal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

MAX_TITLE = 1_000
MAX_CATEGORY = 50
MAX_TAGS = 50
MAX_TAG = 100
MAX_URL = 2_048
MAX_EXTERNAL_ID = 255
DEFAULT_PRIVACY_LEVEL = "PRIVATE"

_URL = re.compile(r"https?://[^\s/?#]+[^\s]*\Z", re.IGNORECASE)
_MARKER = re.compile(r"\A(?:#{1,6}\s+|>\s*|[-*+]\s+)+")
_FIRST_LINE_WINDOW = 8 * MAX_TITLE
_MAX_DEPTH = 32
_MAX_NODES = 20_000


def first_line(text: str) -> str:
    """The first line that says something, without its heading, quote and list marks, cut to fit a title.

    Only the start of the text is looked at, so a body of a megabyte costs nothing.
    """
    for line in text[:_FIRST_LINE_WINDOW].splitlines():
        bare = " ".join(_MARKER.sub("", line.strip()).split())
        if bare:
            return cut(bare, MAX_TITLE)
    return ""


def cut(text: str, longest: int) -> str:
    """The text, or its start and an ellipsis, in at most ``longest`` code points."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def is_url(text: str) -> bool:
    """Whether the card's ``source_url`` can hold it."""
    return len(text) <= MAX_URL and _URL.match(text) is not None


def split_list(text: str) -> list[str]:
    """``a, b; c`` as its members: how CSV cells and property lines carry several values."""
    return [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]


class Draft:
    """A card under construction. Each setter puts what does not fit its field into the metadata."""

    def __init__(self, platform: str, default_category: str) -> None:
        self._fields: dict[str, Any] = {"source_platform": platform}
        self._default_category = default_category
        self._tags: list[str] = []
        self.metadata: dict[str, Any] = {}

    def note(self, name: str, value: Any) -> None:
        """Keep a value that has no field of its own; empty ones are left out, a taken name is numbered."""
        if value is None or value in ("", [], {}):
            return
        free, number = name, 2
        while free in self.metadata:
            free, number = f"{name} ({number})", number + 1
        self.metadata[free] = jsonable(value)

    def title(self, *candidates: str) -> None:
        """The first candidate that is not blank; one that is too long is kept whole in the metadata."""
        for candidate in candidates:
            bare = " ".join(candidate.split())
            if bare:
                self._fields["title"] = cut(bare, MAX_TITLE)
                if len(bare) > MAX_TITLE:
                    self.note("title", candidate)
                return

    def body(self, text: str) -> None:
        """The card's text, exactly as given."""
        self._fields["body"] = text

    def category(self, *candidates: str) -> None:
        """The first candidate that is not blank, cut to fit."""
        for candidate in candidates:
            bare = " ".join(candidate.split())
            if bare:
                self._fields["category"] = cut(bare, MAX_CATEGORY)
                return

    def privacy_level(self, level: str) -> None:
        """What the source says. Not corrected: a wrong level must fail, not be published by a default."""
        if level:
            self._fields["privacy_level"] = level

    def tags(self, tags: Iterable[str]) -> None:
        """Add tags, each once; what is too long or too many is kept as ``more_tags``."""
        more: list[str] = self.metadata.get("more_tags", [])
        for tag in tags:
            bare = tag.strip().lstrip("#").strip()
            if not bare or bare in self._tags or bare in more:
                continue
            if len(bare) > MAX_TAG or len(self._tags) >= MAX_TAGS:
                more.append(bare)
            else:
                self._tags.append(bare)
        if more:
            self.metadata["more_tags"] = more

    def url(self, text: str, name: str = "url") -> None:
        """The source's URL; the first one that fits, any other goes to the metadata under ``name``."""
        bare = text.strip()
        if bare and "source_url" not in self._fields and is_url(bare):
            self._fields["source_url"] = bare
        else:
            self.note(name, bare)

    def external_id(self, text: str) -> None:
        """The source's own id, by which ``on_duplicate`` finds the card again."""
        bare = text.strip()
        if bare and len(bare) <= MAX_EXTERNAL_ID:
            self._fields["external_id"] = bare
        else:
            self.note("external_id", bare)

    def created_at(self, text: str, when: str | None, name: str) -> None:
        """The time that was read from ``text``; a text that is no time is kept under ``name``."""
        if when is not None and "created_at" not in self._fields:
            self._fields["created_at"] = when
        else:
            self.note(name, text.strip())

    def has(self, name: str) -> bool:
        """Whether this field was set."""
        return name in self._fields

    def finish(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The card, with ``default_category`` and ``default_privacy_level`` where it has none of its own."""
        card = self._fields
        card.setdefault("title", "Untitled")
        card.setdefault("body", "")
        card.setdefault("category", options.get("default_category") or self._default_category)
        card.setdefault("privacy_level", options.get("default_privacy_level") or DEFAULT_PRIVACY_LEVEL)
        if self._tags:
            card["tags"] = self._tags
        if self.metadata:
            card["metadata"] = self.metadata
        return card


def jsonable(value: Any) -> Any:
    """A value that JSON can carry: dates as ISO text, numbers beyond 64 bits and other things as text.

    Depth and size are bounded, because YAML's aliases can make a small text huge, or endless.
    """
    return _jsonable(value, 0, [_MAX_NODES])


def _jsonable(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if depth >= _MAX_DEPTH or left[0] < 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item, depth + 1, left) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(item, depth + 1, left) for item in value]
    return str(value)
