"""The peers that are libraries: each in a process of its own, over the service's own table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import UUID

from benchmarks.measure import Side
from benchmarks.options import Options
from benchmarks.peers import counting, django_cards, orm_cards
from benchmarks.peers.arena import Arena, Opener
from benchmarks.peers.conversation import PeerProcess
from benchmarks.peers.peer import NotHere, Peer
from benchmarks.rows import Cards

FIELDS = (
    "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url", "metadata",
)  # fmt: skip
Importing = Callable[[Cards], Side]


def django(_: Options) -> Opener:
    """Find django-import-export. Raises ``NotHere`` when the extra ``bench`` is not installed."""
    versions = _versions("django", "django-import-export", "tablib")
    return lambda arena: _django(arena, versions)


def orm(_: Options) -> Opener:
    """A plain SQLAlchemy ORM worker as usually written; what it needs is installed with the service."""
    return _orm


@contextmanager
def _django(arena: Arena, versions: dict[str, str]) -> Iterator[Peer]:
    with PeerProcess("benchmarks.peers.django_cards", arena.stack.url) as process:
        yield Peer(
            name="django",
            title="django-import-export",
            less="no HTTP, queue, status, progress, publishing, ledger or fingerprints (random ones); texts "
            "are not checked (full_clean off, its default); one row that PostgreSQL refuses fails the "
            "import; times are exported without fractions of a second",
            more="the whole import is one transaction; it keeps a result object per row",
            importing=_importing(arena, process, "json", _write_flat),
            exporting=_exporting(arena, process, django_cards.FORMATS),
            import_goal=8,
            export_goal=10,
            settings=versions | django_cards.SETTINGS,
        )


@contextmanager
def _orm(arena: Arena) -> Iterator[Peer]:
    with PeerProcess("benchmarks.peers.orm_cards", arena.stack.url) as process:
        yield Peer(
            name="orm",
            title="SQLAlchemy ORM worker",
            less="no HTTP, queue, status, progress or resuming; bad cards only in a list in memory; one card "
            "that PostgreSQL refuses takes its whole batch with it",
            more="nothing",
            importing=_importing(arena, process, "json", lambda cards, path: path.write_bytes(cards.body())),
            exporting=_exporting(arena, process, orm_cards.FORMATS),
            settings=_versions("sqlalchemy", "pydantic") | {"cards per commit": orm_cards.BATCH},
        )


def _write_flat(cards: Cards, path: Path) -> None:
    """A JSON file in the library's own conventions: tags joined by commas, metadata as JSON text."""
    flat = [
        {name: card[name] for name in FIELDS}
        | {"tags": ",".join(card["tags"]), "metadata": json.dumps(card["metadata"])}
        for card in cards.dicts
    ]
    path.write_text(json.dumps(flat, ensure_ascii=False), encoding="utf-8")


def _importing(
    arena: Arena, process: PeerProcess, suffix: str, write: Callable[[Cards, Path], object]
) -> Importing:
    def side(cards: Cards) -> Side:
        path = arena.folder / f"{id(process)}-{len(cards)}.{suffix}"
        write(cards, path)

        def prepare() -> UUID:
            arena.stack.empty()
            return arena.stack.new_owner()

        def run(owner: UUID) -> int:
            return process.ask("import", path=str(path), owner=str(owner))

        return Side(run, lambda owner, _: arena.stack.count_cards(owner), len(cards), prepare)

    return side


def _exporting(arena: Arena, process: PeerProcess, formats: tuple[str, ...]) -> dict[str, Side]:
    return {name: _export(arena, process, name) for name in formats}


def _export(arena: Arena, process: PeerProcess, format: str) -> Side:
    path = arena.folder / f"{id(process)}-out.{format}"

    def run(_: None) -> int:
        return process.ask("export", path=str(path), owner=str(arena.user[0]))

    def check(_: None, __: int) -> int:
        return counting.COUNTERS[format](path)

    return Side(run, check, len(arena.exported), arena.stack.settle)


def _versions(*names: str) -> dict[str, str]:
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise NotHere(f"the package {error.name} is not installed; the extra bench brings it") from error
