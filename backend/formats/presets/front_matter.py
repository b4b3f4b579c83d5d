"""The YAML front matter of a note: the properties between two ``---`` lines at its very start."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BLOCK = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)(?:^|(?<=\n))(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL
)
_MAX_YAML = 131_072


class _Loader(yaml.SafeLoader):
    """YAML without aliases: they can make a small text endless."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """A note as its properties and its text.

    Obsidian shows a note whose properties are no valid YAML as plain text, and so does this: nothing is
    cut off then.
    """
    found = _BLOCK.match(text) if text.startswith(("---", "\ufeff---")) else None
    if found is None or len(found["yaml"]) > _MAX_YAML:
        return {}, text
    try:
        # Obsidian writes links as they are: `up: [[Home]]` is a list in a list, and stays one.
        properties = yaml.load(found["yaml"], Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
        return {}, text
    if properties is None:
        return {}, text[found.end() :]
    if not isinstance(properties, dict):
        return {}, text
    return {str(key): value for key, value in properties.items()}, text[found.end() :]
