"""Our side over HTTP, and the limit: the same cards by a raw COPY on the same server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx2

from backend.core.ids import new_operation_id
from benchmarks import rows
from benchmarks.calling import Caller
from benchmarks.figures import WrongCount
from benchmarks.measure import Side
from benchmarks.peers import counting
from benchmarks.servers import RunningStack

PATIENCE_SECONDS = 600


class Service:
    """The running stack, asked over HTTP as a client would."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self._client = httpx2.Client(base_url=stack.base_url, timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def importing(self, cards: rows.Cards) -> Side:
        """POST to SUCCESS."""
        body = cards.body()

        def prepare() -> tuple[UUID, str]:
            self.stack.empty()
            return self.stack.new_user()

        def run(user: tuple[UUID, str]) -> dict[str, Any]:
            with Caller(self.stack.base_url, user[1]) as caller:
                return caller.finished(caller.post("/bulk/import", body)["task_id"])

        def check(user: tuple[UUID, str], status: dict[str, Any]) -> int:
            found = self.stack.count_cards(user[0])
            awards = self.stack.value("SELECT count(*) FROM extropy_ledger WHERE user_id = %s", user[0])
            result = status["result"]
            if (result["cards_imported"], result["cards_published"], awards) != (
                found, cards.published, cards.published,
            ):  # fmt: skip
                raise WrongCount(f"{found} cards, {awards} awards, but the result says {result}")
            return found

        return Side(run, check, len(cards), prepare)

    def exports(self, count: int, key: str) -> dict[str, Side]:
        """By kind: ``json`` and ``csv`` are operations, POST to the downloaded file; the streams one GET."""
        sides = {}
        for kind in counting.COUNTERS:
            sides[kind] = self._side(self._operation, kind, key, count)
            sides[f"{kind} stream"] = self._side(self._stream, kind, key, count)
        return sides

    def _side(self, export: Callable[[str, str], Path], format: str, key: str, count: int) -> Side:
        def check(_: None, path: Path) -> int:
            return counting.COUNTERS[format](path)

        return Side(lambda _: export(format, key), check, count, self.stack.settle)

    def _operation(self, format: str, key: str) -> Path:
        with Caller(self.stack.base_url, key) as caller:
            task = caller.post("/bulk/export", b'{"format": "%s"}' % format.encode())["task_id"]
            caller.finished(task)
        return self._download(f"/bulk/operations/{task}/download", key, format)

    def _stream(self, format: str, key: str) -> Path:
        return self._download(f"/cards/export?format={format}", key, format)

    def _download(self, path: str, key: str, format: str) -> Path:
        headers = {"Authorization": f"Bearer {key}"}
        return save(self._client, path, headers, self.folder / f"ours.{format}")


def save(client: httpx2.Client, path: str, headers: Mapping[str, str], to: Path) -> Path:
    """GET a file, uncompressed, into ``to``: the same way for every side that speaks HTTP."""
    headers = {**headers, "Accept-Encoding": "identity"}
    with client.stream("GET", path, headers=headers) as answer, to.open("wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_raw():
            file.write(piece)
    return to


def copy_in(stack: RunningStack, cards: rows.Cards) -> Side:
    """The limit of an import: ready rows into the same table, one COPY, one transaction."""

    def prepare() -> tuple[UUID, list[bytes]]:
        stack.empty()
        owner = stack.new_owner()
        return owner, cards.copy_lines(owner, new_operation_id(), datetime.now(UTC))

    def run(prepared: tuple[UUID, list[bytes]]) -> None:
        with stack.connect() as connection:
            rows.raw_copy(connection, prepared[1], len(prepared[1]))

    return Side(run, lambda prepared, _: stack.count_cards(prepared[0]), len(cards), prepare)


def copy_out(stack: RunningStack, owner: UUID, count: int, folder: Path) -> Side:
    """The limit of an export: the same columns and order by COPY in text format, into a file."""
    path = folder / "copy.text"
    statement = (
        f"COPY (SELECT {', '.join(counting.EXPORTED)} FROM cards"
        f" WHERE user_id = '{uuid.UUID(str(owner))}' AND deleted_at IS NULL ORDER BY id) TO STDOUT"
    )

    def run(_: None) -> Path:
        with (
            stack.connect() as connection,
            connection.cursor() as cursor,
            path.open("wb") as file,
            cursor.copy(statement.encode()) as copy,
        ):
            for block in copy:
                file.write(block)
        return path

    return Side(run, lambda _, file: counting.lines(file), count, stack.settle)
