"""Incremental exports: nothing committed is ever skipped, nothing comes twice."""

from __future__ import annotations

import json
import random
import threading
import uuid
from typing import Any
from uuid import UUID

import psycopg
import pytest

from backend.cards import removal
from backend.cards.removal import Target
from backend.cards.watermark import Watermark, read_token
from backend.core.errors import Gone, ValidationFailed
from backend.core.ids import card_id, new_operation_id
from backend.db.session import unit_of_work
from backend.operations.export_options import read_options
from backend.operations.export_stream import ExportStream
from backend.tests.support import hostile


def export(owner: UUID, since: str | None = None, **more: Any) -> tuple[list[dict[str, Any]], str]:
    stream = ExportStream(owner, read_options({"format": "ndjson", "since": since, **more}))
    rows = [json.loads(line) for line in b"".join(stream).split(b"\n") if line]
    gone = [row for row in rows if row.get("tombstone")]
    assert (stream.cards, stream.tombstones) == (len(rows) - len(gone), len(gone))
    assert stream.watermark is not None
    return rows, stream.watermark


def plain(title: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "body": "b", "category": "c", "privacy_level": "PRIVATE", **more}


def touch(connection: psycopg.Connection[Any], title: str) -> None:
    """Change a card as the application does."""
    connection.execute(
        "UPDATE cards SET body = body || '!', changed_xid = pg_current_xact_id() WHERE title = %s", (title,)
    )


def test_only_what_changed_comes_again(database: str, owner: UUID) -> None:
    hostile.insert(owner, [plain("a"), plain("b")])
    rows, mark = export(owner)
    assert [row["title"] for row in rows] == ["a", "b"]
    assert export(owner, mark)[0] == []
    hostile.insert(owner, [plain("c")])
    with psycopg.connect(database) as connection:
        touch(connection, "a")
    rows, again = export(owner, mark)
    assert [row["title"] for row in rows] == ["a", "c"]
    assert export(owner, again)[0] == []
    assert [row["title"] for row in export(owner, mark)[0]] == ["a", "c"]


def test_a_transaction_that_began_before_and_commits_after_is_not_skipped(database: str, owner: UUID) -> None:
    hostile.insert(owner, [plain("early"), plain("late"), plain("same")])
    _, mark = export(owner)
    with psycopg.connect(database) as slow:
        touch(slow, "early")  # its transaction id is older than anything below
        with psycopg.connect(database) as quick:
            touch(quick, "late")
        rows, during = export(owner, mark)
        assert [row["title"] for row in rows] == ["late"]
    rows, _ = export(owner, during)
    assert [row["title"] for row in rows] == ["early"]


def test_a_transaction_that_rolls_back_leaves_no_trace(database: str, owner: UUID) -> None:
    hostile.insert(owner, [plain("a")])
    _, mark = export(owner)
    with psycopg.connect(database) as connection:
        touch(connection, "a")
        _, during = export(owner, mark)
        connection.rollback()
    assert export(owner, during)[0] == []


def test_the_chain_of_exports_mirrors_the_account_under_concurrent_writers(
    database: str, owner: UUID
) -> None:
    operation = hostile.insert(owner, [plain(f"card {number}") for number in range(60)])
    ids = [card_id(operation, index) for index in range(60)]
    stop = threading.Event()

    def write(seed: int) -> None:
        source = random.Random(seed)
        while not stop.is_set():
            mine = [ids[n] for n in source.sample(range(60), 3) if n % 3 == seed]
            with psycopg.connect(database) as connection:
                for one in mine:
                    connection.execute(
                        "UPDATE cards SET body = %s, changed_xid = pg_current_xact_id() WHERE id = %s",
                        (str(source.random()), one),
                    )
                connection.execute("SELECT pg_sleep(%s)", (source.random() / 50,))
                if source.random() < 0.2:
                    connection.rollback()
            if mine and source.random() < 0.2:
                with unit_of_work(owner) as work:
                    removal.soft_delete(work, owner, new_operation_id(), Target(ids=mine), len(mine), _now())
                with unit_of_work(owner) as work:
                    removal.restore(work, owner, Target(ids=mine[:2]), 2, None)

    mirror: dict[str, Any] = {}
    mark = None
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            rows, mark = export(owner, mark)
            _apply(mirror, rows)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    rows, mark = export(owner, mark)
    _apply(mirror, rows)
    assert mirror == {row["id"]: row for row in export(owner)[0]}
    assert export(owner, mark)[0] == []


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _apply(mirror: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row.get("tombstone"):
            mirror.pop(row["id"], None)
        else:
            mirror[row["id"]] = row


def test_deleted_cards_leave_tombstones_softly_and_for_good(owner: UUID) -> None:
    operation = hostile.insert(owner, [plain("a", external_id="A"), plain("b", external_id="B"), plain("c")])
    _, mark = export(owner)
    with unit_of_work(owner) as connection:
        removal.soft_delete(
            connection, owner, new_operation_id(), Target(ids=[card_id(operation, 0)]), 1, _now()
        )
        removal.hard_delete(connection, owner, Target(ids=[card_id(operation, 1)]), 1, _now())
    rows, after = export(owner, mark)
    assert [(row["id"], row["external_id"], row["tombstone"]) for row in rows] == [
        (str(card_id(operation, 0)), "A", True),
        (str(card_id(operation, 1)), "B", True),
    ]
    assert all(row["deleted_at"].endswith("+00:00") for row in rows)
    with unit_of_work(owner) as connection:
        removal.restore(connection, owner, Target(ids=[card_id(operation, 0)]), 1, None)
    rows, _ = export(owner, after)
    assert [row["title"] for row in rows] == ["a"]


def test_a_card_that_leaves_the_selection_leaves_a_tombstone_without_a_time(
    database: str, owner: UUID
) -> None:
    hostile.insert(owner, [plain("a"), plain("b")])
    _, mark = export(owner, categories=["c"])
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE cards SET category = 'd', changed_xid = pg_current_xact_id() WHERE title = 'a'"
        )
    rows, _ = export(owner, mark, categories=["c"])
    assert [(row["deleted_at"], row["tombstone"]) for row in rows] == [(None, True)]


@pytest.mark.parametrize("format", ["json", "csv", "markdown", "zip", "ndjson"])
def test_every_format_carries_tombstones(owner: UUID, format: str) -> None:
    operation = hostile.insert(owner, [plain("a"), plain("b"), plain("c")])
    _, mark = export(owner)
    with unit_of_work(owner) as connection:
        removal.soft_delete(
            connection, owner, new_operation_id(), Target(ids=[card_id(operation, 0)]), 1, _now()
        )
        removal.hard_delete(connection, owner, Target(ids=[card_id(operation, 1)]), 1, _now())
    stream = ExportStream(owner, read_options({"format": format, "since": mark}))
    data = b"".join(stream)
    assert (stream.cards, stream.tombstones) == (0, 2)
    assert all(str(card_id(operation, index)).encode() in data for index in (0, 1))
    if format == "json":
        assert [row["tombstone"] for row in json.loads(data)] == [True, True]
    if format == "csv":
        lines = data.decode().split("\n")
        assert lines[0].endswith("deleted_at,tombstone")
        assert {line.count(",") for line in lines[:3]} == {lines[0].count(",")}


def test_a_watermark_of_another_database_or_a_restored_one_is_gone(database: str, owner: UUID) -> None:
    _, mark = export(owner)
    known = read_token(mark)
    for other in (
        Watermark("0" * 16, known.snapshot),
        Watermark(known.identity, "5:9223372036854775807:"),
    ):
        with pytest.raises(Gone):
            export(owner, other.token())


def test_a_restore_of_the_table_makes_earlier_watermarks_gone(database: str, owner: UUID) -> None:
    hostile.insert(owner, [plain("a")])
    _, mark = export(owner)
    with psycopg.connect(database) as connection:  # what pg_restore of this table's data does
        connection.execute("CREATE TEMP TABLE dump AS SELECT * FROM cards")
        connection.execute("TRUNCATE cards")
        connection.execute("INSERT INTO cards SELECT * FROM dump")
    with pytest.raises(Gone):
        export(owner, mark)


def test_another_clusters_transaction_ids_on_restored_cards_skip_nothing(database: str, owner: UUID) -> None:
    """After a dump and restore ``changed_xid`` may be far ahead of this cluster's counter."""
    hostile.insert(owner, [plain("a"), plain("b")])
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE cards SET changed_xid = '9000000000000'")
    rows, mark = export(owner)
    assert len(rows) == 2
    with psycopg.connect(database) as connection:
        touch(connection, "a")
    rows, _ = export(owner, mark)
    assert "a" in [row["title"] for row in rows]


@pytest.mark.parametrize(
    "token",
    ["", "x", "é", 5, ["a"], "A" * 70_000, "MS4", *(
        Watermark("0" * 16, snapshot).token()
        for snapshot in ("0:1:", "5:4:", "5:9:4", "5:9:7,6", "5:9:9", "5:9:,", "5:9223372036854775808:")
    )],
)  # fmt: skip
def test_what_is_no_watermark_is_refused(token: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        read_token(token)
    assert caught.value.errors[0].pointer == "/since"


def test_a_watermark_survives_its_token() -> None:
    mark = Watermark(uuid.uuid4().hex[:16], "700:720:705,719")
    assert read_token(mark.token()) == mark
    assert mark.token().replace("-", "").replace("_", "").isalnum()
