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
    """YAML as Obsidian reads it, which is version 1.2: ``on`` is a word, ``12:30`` is no number.

    Aliases are refused: they can make a small text endless. What only looks like a date stays text.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)

    def timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.construct_yaml_timestamp(node)
        except (ValueError, OverflowError):
            return node.value


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})\Z", list("-+0123456789")),
    ("float", r"[-+]?[0-9]{1,17}\.[0-9]{1,17}\Z", list("-+0123456789")),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9:.]{5,16}(?:Z|[-+][0-9]{2}:?[0-9]{2})?)?\Z",
        list("0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.timestamp)


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
