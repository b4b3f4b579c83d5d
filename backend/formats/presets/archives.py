"""Which files of an exported archive hold what: decided from the names alone, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname

from backend.formats.presets.notion_page import split_id
from backend.formats.presets.obsidian_note import is_note

_TWEETS = re.compile(r"tweets?(?:-part(?P<part>\d+))?\.js\Z", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")


def vault_roots(names: Iterable[str]) -> list[str]:
    """Where vaults begin: the folders that hold ``.obsidian/``, longest first, each ending in ``/`` or empty.

    A vault that was zipped as a folder has its name before every path; without ``.obsidian`` in the
    archive nothing tells it from a folder of notes.
    """
    roots = {name[: name.index(".obsidian/")] for name in names if "/.obsidian/" in f"/{name}"}
    return sorted((root for root in roots if root), key=len, reverse=True)


def path_in_vault(name: str, roots: Sequence[str]) -> str:
    """The entry's path inside of its vault."""
    return next((name[len(root) :] for root in roots if name.startswith(root)), name)


def tweet_files(names: Iterable[str]) -> list[str]:
    """``data/tweets.js`` and its further parts in order; ``tweet.js`` in archives before 2022.

    Deleted, community and liked tweets lie in other files, and are not the writer's published text.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _TWEETS.match(basename(name))
        if match is not None and not _hidden(name):
            kind = "tweets" if basename(name).lower().startswith("tweets") else "tweet"
            found.setdefault(kind, []).append((int(match["part"] or 0), name))
    return [name for _, name in sorted(found.get("tweets") or found.get("tweet") or [])]


def account_file(names: Iterable[str]) -> str | None:
    """``data/account.js``, which says whose archive it is."""
    return next(
        (name for name in names if basename(name).lower() == "account.js" and not _hidden(name)), None
    )


@dataclass(slots=True)
class NotionPlan:
    """What of a Notion export becomes cards.

    ``databases`` are the CSV files to read, ``pages`` the Markdown files, ``parts`` the zips inside.
    ``rows_of`` gives for a database the folder with its rows' pages, ``database_of`` the reverse.
    """

    databases: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    rows_of: dict[str, str] = field(default_factory=dict)
    database_of: dict[str, str] = field(default_factory=dict)


def plan_notion(names: Sequence[str]) -> NotionPlan:
    """Sort an export's files.

    A database lies there twice, ``X.csv`` (the view that was open) and ``X_all.csv`` (every row): the
    second wins. Its rows' pages lie in the folder ``X`` (older exports keep the id in its name).
    """
    plan = NotionPlan()
    present = set(names)
    for name in names:
        lower = name.lower()
        if _hidden(name):
            continue
        if lower.endswith(".csv"):
            if lower.endswith("_all.csv") or f"{name[:-4]}_all{name[-4:]}" not in present:
                plan.databases.append(name)
        elif is_note(name):
            plan.pages.append(name)
        elif lower.endswith(".zip"):
            plan.parts.append(name)
    plan.parts.sort(key=_natural)
    folders = {dirname(name) for name in plan.pages}
    for database in plan.databases:
        stem = database[:-4].removesuffix("_all")
        for folder in (stem, _join(dirname(stem), split_id(basename(stem))[0])):
            if folder in folders and folder not in plan.database_of:
                plan.rows_of[database] = folder
                plan.database_of[folder] = database
                break
    return plan


def page_key(title: str) -> str:
    """What a row's title and its page's file name have in common: Notion cuts the name and drops signs."""
    return "".join(letter for letter in title.casefold() if letter.isalnum())[:30]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _hidden(name: str) -> bool:
    """Files that systems leave behind (``__MACOSX/``, ``.DS_Store``)."""
    return name.startswith("__MACOSX/") or any(part.startswith(".") for part in name.split("/"))


def _natural(name: str) -> str:
    """Part 2 before part 10: a key whose digits are padded, so that it compares as text."""
    return _DIGITS.sub(lambda found: found[0].zfill(12), name)
