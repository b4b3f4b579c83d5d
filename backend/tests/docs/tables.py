"""Tables of the reference that are made from the code.

``python -m backend.tests.docs.tables`` writes them anew; ``test_tables.py`` fails while they differ.
A table stands between ``<!-- made: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from backend.auth.scopes import SCOPES
from backend.cli import main as cli
from backend.core.settings import Settings
from backend.tests.docs.pages import DOCS

_MADE = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cell(text: object) -> str:
    """Text that stands in a table's cell."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell(value) for value in row) + " |\n" for row in lines)


def settings() -> str:
    """Every environment variable, its default and what it is."""
    rows: list[tuple[object, ...]] = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = "" if default in (None, "", PydanticUndefined) else f"`{default}`"
        rows.append((f"`{name.upper()}`", shown, field.description))
    return table(("variable", "default", "what it is"), rows)


def scopes() -> str:
    """Every scope and what it allows."""
    return table(("scope", "allows to"), [(f"`{name}`", text) for name, text in SCOPES.items()])


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command of ``extrophi`` with its whole name."""
    for name in cli.COMMANDS:
        yield from _within(f"extrophi {name}", cli.load(name))


def _within(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(getattr(command, "commands", None), dict):
        for inner, found in command.commands.items():
            yield from _within(f"{name} {inner}", found)
    else:
        yield name, command


def command_line() -> str:
    """Every command with its arguments and options."""
    parts = []
    for name, command in commands():
        arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
        parts.append(f"### `{' '.join([name, *arguments])}`\n\n{_help(command)}\n")
        rows: list[tuple[object, ...]] = []
        for one in command.params:
            if one.param_type_name != "option" or one.name == "help":
                continue
            written = ", ".join(f"`{option}`" for option in (*one.opts, *one.secondary_opts))
            rows.append((written, getattr(one, "help", "") or "", _default(one)))
        if rows:
            parts.append(table(("option", "what it does", "default"), rows))
    return "\n".join(parts)


def _argument(one: Any) -> str:
    name = (one.metavar or one.name.upper()).strip("[]{}")
    name = f"{name}…" if one.nargs == -1 and not name.endswith("…") else name
    return name if one.required else f"[{name}]"


def _help(command: Any) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))


def _default(one: Any) -> str:
    if (
        one.default in (None, False, (), [])
        or callable(one.default)
        or str(one.default).startswith("Sentinel")
    ):
        return ""
    return "yes" if one.default is True else f"`{one.default}`"


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "scopes": scopes,
    "command_line": command_line,
}


def renewed(text: str) -> str:
    """A page with its tables made anew."""
    return _MADE.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[3]}", text)


def files() -> list[Path]:
    return [path for path in sorted(DOCS.rglob("*.md")) if _MADE.search(path.read_text())]


if __name__ == "__main__":
    for path in files():
        path.write_text(renewed(path.read_text()))
        print(path)
