"""Export: every format and compression against ``COPY (SELECT the same columns) TO STDOUT``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from backend.core.ids import new_operation_id
from backend.operations.exporting import run_export
from benchmarks import servers
from benchmarks.calling import Caller
from benchmarks.figures import Figure, Measurement, Result, WrongCount
from benchmarks.measure import Side, alternate
from benchmarks.options import Options
from benchmarks.rows import Cards, raw_copy
from benchmarks.servers import Database, RunningStack
from benchmarks.watching import CHILD, MB, memory_figures, watched

# Goal and stretch of a format that is not compressed.
GOALS = {
    "csv": (0.75, 0.95),
    "json": (0.50, 0.70),
    "ndjson": (0.50, 0.70),
    "markdown": (0.40, 0.60),
    "zip": (None, None),
}
COMPRESSIONS = (None, "gzip", "zstd")
GROWTH_MB = 20.0  # what an export may add to the memory of the child that runs it
# The columns of an exported card, in text format, unordered: what PostgreSQL can do at best.
COPY = (
    "COPY (SELECT id, title, body, category, privacy_level, tags, source_platform, source_url, external_id, "
    "metadata, is_published, published_url, published_at, created_at, updated_at FROM cards "
    "WHERE user_id = '{owner}' AND deleted_at IS NULL) TO STDOUT"
)


def run(options: Options) -> Iterator[Result]:
    """In this process by ``run_export``, then as operations of the running stack."""
    with servers.database() as database:
        yield from in_process(database, options)
    with servers.stack(children=2) as stack:
        yield from on_stack(stack, options)


def in_process(database: Database, options: Options) -> Iterator[Measurement]:
    """Every format and compression by ``run_export``."""
    owner = database.new_owner()
    _fill(database, owner, options)
    for name in GOALS:
        for compression in COMPRESSIONS:
            yield _run_export(database, owner, name, compression, options)


def on_stack(stack: RunningStack, options: Options) -> Iterator[Result]:
    """Memory of processes that have done nothing yet, then every format and compression as an operation."""
    owner, key = stack.new_user()
    _fill(stack, owner, options)
    with Caller(stack.base_url, key) as caller:
        yield from _memory(stack, caller, options)
        for name in GOALS:
            for compression in COMPRESSIONS:
                yield _operation(stack, caller, owner, name, compression, options)


def _run_export(
    database: Database, owner: UUID, name: str, compression: str | None, options: Options
) -> Measurement:
    """The engine's export, from the snapshot to the stored file and its hash."""
    request = {"format": name, "compression": compression}
    side = Side(
        lambda _: run_export(owner, new_operation_id(), request),
        lambda _, done: done.cards,
        options.many,
    )
    seconds = alternate(
        {"ours": side, "COPY": _copy_side(database, owner, options)}, options.few_rounds, warm_up=False
    )
    goal, stretch = GOALS[name] if compression is None else (None, None)
    return Measurement(
        "export",
        _name(name, compression),
        options.many,
        seconds["ours"],
        seconds["COPY"],
        goal=goal,
        stretch=stretch,
    )


def _operation(
    stack: RunningStack, caller: Caller, owner: UUID, name: str, compression: str | None, options: Options
) -> Measurement:
    """From the POST to the answer that says SUCCESS."""
    sizes: list[int] = []

    def check(_: Any, result: dict[str, Any]) -> int:
        sizes.append(result["file_size_bytes"])
        return int(result["cards_exported"])

    seconds = alternate(
        {
            "ours": Side(lambda _: _exported(caller, name, compression), check, options.many),
            "COPY": _copy_side(stack, owner, options),
        },
        options.few_rounds if compression is None else 1,  # what compression costs is measured above
        warm_up=False,
    )
    return Measurement(
        "export",
        f"POST to SUCCESS, {_name(name, compression)}",
        options.many,
        seconds["ours"],
        seconds["COPY"],
        plot=compression is None,
        details={"file_size_bytes": sizes[-1]},
    )


def _memory(stack: RunningStack, caller: Caller, options: Options) -> Iterator[Figure]:
    """Every format, uncompressed and zstd, with the memory of fresh processes watched."""
    with watched(stack) as memory:
        for name in GOALS:
            for compression in (None, "zstd"):
                _exported(caller, name, compression)
    yield from memory_figures(memory, f"exports of {options.many:,}")
    yield Figure(
        "memory",
        f"exports of {options.many:,}, growth of a worker child",
        memory.growth[CHILD] / MB,
        "MB",
        at_most=GROWTH_MB,
        note="largest peak of a child less what it had when fresh; every format, uncompressed and zstd",
    )


def _exported(caller: Caller, name: str, compression: str | None) -> dict[str, Any]:
    request = b'{"format":"%s"%s}' % (
        name.encode(),
        b"" if compression is None else b',"compression":"%s"' % compression.encode(),
    )
    result: dict[str, Any] = caller.finished(caller.post("/bulk/export", request)["task_id"])["result"]
    return result


def _copy_side(database: Database, owner: UUID, options: Options) -> Side:
    """The limit: one COPY on a warm connection, its rows read and dropped."""

    def connected() -> psycopg.Connection[Any]:
        connection = database.connect()
        connection.execute("SELECT 1")
        connection.commit()
        return connection

    def read(connection: psycopg.Connection[Any]) -> int:
        with connection.cursor() as cursor:
            with cursor.copy(COPY.format(owner=owner).encode()) as copy:
                for _ in copy:
                    pass
            return cursor.rowcount

    def check(connection: psycopg.Connection[Any], rows: int) -> int:
        connection.close()
        return rows

    return Side(read, check, options.many, connected)


def _fill(database: Database, owner: UUID, options: Options) -> None:
    """Give the owner the cards to export, in a vacuumed table."""
    lines = Cards(options.many, options.seed).copy_lines(owner, new_operation_id(), datetime.now(UTC))
    with database.connect() as connection:
        raw_copy(connection, lines, len(lines))
    database.settle("cards")
    if database.count_cards(owner) != options.many:
        raise WrongCount("the table was not filled")


def _name(name: str, compression: str | None) -> str:
    return name if compression is None else f"{name}, {compression}"
