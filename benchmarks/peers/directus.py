"""Directus: imports through ``/utils/import``, exports through ``/items`` and ``/utils/export``."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from uuid_utils.compat import uuid7

from benchmarks.measure import Side
from benchmarks.options import Options
from benchmarks.peers import counting
from benchmarks.peers.arena import Arena, Opener
from benchmarks.peers.directus_install import DIRECTUS, Installed, default_folder, install
from benchmarks.peers.directus_server import PATIENCE_SECONDS, SETTINGS, DirectusServer
from benchmarks.peers.peer import NotHere, Peer
from benchmarks.peers.service import save
from benchmarks.rows import PUBLISHED, Cards
from benchmarks.servers import Database

POLL_SECONDS = 0.02
_COLUMNS = (
    "id", "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url", "metadata",
    "is_published", "published_url", "published_at", "created_at",
)  # fmt: skip


def directus(options: Options) -> Opener:
    """Find or install Directus. Raises ``NotHere`` when it can be neither."""
    installed = install(options.peers_folder or default_folder())
    return lambda arena: _open(arena, installed)


@contextmanager
def _open(arena: Arena, installed: Installed) -> Iterator[Peer]:
    """On the same PostgreSQL server, in a database of its own."""
    database = Database(_new_database(arena.stack))
    folder = arena.folder / "directus"
    folder.mkdir()
    with DirectusServer(installed, database.url, folder) as server:
        server.wait_ready()
        server.make_collection()
        sides = _Sides(arena, database, server)
        yield Peer(
            name="directus",
            title="Directus",
            less="no queue, status, progress, owners, publishing, ledger, fingerprints or secondary indexes; "
            "text is not checked beyond its type; one bad row undoes the whole import; the CSV file of its "
            "job leaves metadata empty",
            more="permissions and field rules per row, its event hooks",
            importing=sides.importing,
            exporting={
                "json": sides.job("json"),
                "csv": sides.job("csv"),
                "json stream": sides.answer("json"),
                "csv stream": sides.answer("csv"),
            },
            fill=sides.fill,
            import_goal=30,
            export_goal=3,
            settings={"Directus": DIRECTUS, "Node": installed.node_version, "DB_CLIENT": "pg"}
            | SETTINGS
            | {"accountability": "null (no activity, no revisions)"},
        )


class _Sides:
    def __init__(self, arena: Arena, database: Database, server: DirectusServer) -> None:
        self.arena = arena
        self.database = database
        self.client = server.client

    def importing(self, cards: Cards) -> Side:
        """POST a JSON file; it answers when everything is there."""
        body = b"[" + b",".join(cards.raws) + b"]"

        def run(_: None) -> None:
            files = {"file": ("cards.json", body, "application/json")}
            self.client.post("/utils/import/cards", files=files).raise_for_status()

        return Side(run, lambda _, __: self._count(), len(cards), self._empty)

    def answer(self, format: str) -> Side:
        """GET everything at once."""
        fields = ",".join(counting.EXPORTED)
        path = f"/items/cards?export={format}&limit=-1&sort=id&fields={fields}"

        def run(_: None) -> Path:
            return self._save(path, format)

        return self._export(run, format)

    def job(self, format: str) -> Side:
        """POST an export into a file, wait until the file is there, fetch it."""

        def run(_: None) -> Path:
            title = str(uuid.uuid4())
            query = {"limit": -1, "sort": ["id"], "fields": list(counting.EXPORTED)}
            body = {"query": query, "format": format, "file": {"title": title, "storage": "local"}}
            self.client.post("/utils/export/cards", json=body).raise_for_status()
            return self._save(f"/assets/{self._file(title)}?download", format)

        return self._export(run, format)

    def fill(self, cards: Cards) -> None:
        """The same cards by COPY into its own table."""
        self._empty()
        now = datetime.now(UTC)
        with (
            self.database.connect() as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY cards ({', '.join(_COLUMNS)}) FROM STDIN".encode()) as copy,
        ):
            for card in cards.dicts:
                # Ids in order, as ours are: it sorts by them.
                public = card["privacy_level"] in PUBLISHED
                url = f"https://example.com/cards/{card['metadata']['number']}-{'0' * 40}" if public else None
                copy.write_row(
                    (
                        uuid7(), card["title"], card["body"], card["category"], card["privacy_level"],
                        json.dumps(card["tags"]), card["source_platform"], card["source_url"],
                        json.dumps(card["metadata"]), public, url, now if public else None, now,
                    )
                )  # fmt: skip
        self.database.settle("cards")

    def _export(self, run: Callable[[None], Path], format: str) -> Side:
        def check(_: None, path: Path) -> int:
            return counting.COUNTERS[format](path)

        return Side(run, check, len(self.arena.exported), self.database.settle)

    def _save(self, path: str, format: str) -> Path:
        return save(self.client, path, {}, self.arena.folder / f"directus-out.{format}")

    def _file(self, title: str) -> str:
        """The id of an exported file, once it is whole. Looked up in its table: polling costs it nothing."""
        end = time.monotonic() + PATIENCE_SECONDS
        with self.database.connect(autocommit=True) as connection:
            while time.monotonic() < end:
                row = connection.execute(
                    "SELECT id FROM directus_files WHERE title = %s AND filesize IS NOT NULL", (title,)
                ).fetchone()
                if row is not None:
                    return str(row[0])
                time.sleep(POLL_SECONDS)
        raise TimeoutError(f"Directus exported nothing in {PATIENCE_SECONDS} s")

    def _empty(self) -> None:
        self.database.execute("TRUNCATE cards")
        self.database.settle()

    def _count(self) -> int:
        return int(self.database.value("SELECT count(*) FROM cards WHERE title <> ''"))


def _new_database(stack: Database) -> str:
    """A fresh database on the stack's server; its URL."""
    name = "directus"
    try:
        with stack.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise NotHere(f"no database for it: {error}") from error
    parts = conninfo_to_dict(stack.url)
    return f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"
