"""The stream of cards: one snapshot, in order, side by side or not, and nothing left behind."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from backend.cards import stream
from backend.cards.filters import Filters
from backend.cards.statements import Selection
from backend.cards.stream import CardStream
from backend.core.ids import card_id
from backend.db.session import get_engine
from backend.tests.support import hostile


def lines(owner: UUID, **more: Any) -> list[dict[str, Any]]:
    data = b"".join(CardStream(Selection(owner, "ndjson", **more)).chunks())
    return [json.loads(line) for line in data.split(b"\n") if line]


def idle(database: str) -> int:
    """Sessions of the pool that are in the middle of something."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state <> 'idle'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RANGE_CARDS", 50)
    monkeypatch.setattr(stream, "CHUNK_BYTES", 2_000)


@pytest.mark.parametrize("shape", ["json", "ndjson", "csv", "markdown"])
@pytest.mark.parametrize("width", [2, 4])
def test_side_by_side_gives_the_same_bytes(owner: UUID, small_ranges: None, shape: str, width: int) -> None:
    hostile.insert(owner, hostile.cards(1_020))
    one, many = CardStream(Selection(owner, shape)), CardStream(Selection(owner, shape), width=width)
    assert b"".join(one.chunks()) == b"".join(many.chunks())
    assert one.cards == many.cards == 1_020


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100])
def test_no_card_is_lost_where_ranges_meet(owner: UUID, small_ranges: None, count: int) -> None:
    operation = hostile.insert(owner, hostile.cards(count)) if count else uuid4()
    cards = CardStream(Selection(owner, "files"), width=3)
    names = [name for entries in cards.entries(list) for name, _ in entries]
    assert cards.cards == count
    assert [name[-39:-3] for name in names] == [str(card_id(operation, index)) for index in range(count)]


def test_every_connection_sees_the_same_moment(database: str, owner: UUID, small_ranges: None) -> None:
    hostile.insert(owner, hostile.cards(1_000))
    cards = CardStream(Selection(owner, "ndjson"), width=3)
    chunks = cards.chunks()
    data = [next(chunks)]
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM cards WHERE user_id = %s", (owner,))
    hostile.insert(owner, hostile.cards(10))
    data += list(chunks)
    assert cards.cards == 1_000
    assert b"".join(data).count(b"\n") == 1_000


def test_a_reader_that_stops_leaves_no_session_behind(database: str, owner: UUID, small_ranges: None) -> None:
    hostile.insert(owner, [card | {"body": "x" * 20_000} for card in hostile.cards(2_000)])
    before = threading.active_count()
    for width in (1, 3):
        chunks = CardStream(Selection(owner, "json"), width=width).chunks()
        next(chunks)
        chunks.close()
    assert threading.active_count() == before
    assert idle(database) == 0
    assert get_engine().pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len(lines(owner)) == 2_000


def test_an_error_ends_every_thread_and_is_the_readers(
    database: str, owner: UUID, small_ranges: None
) -> None:
    class Stop(Exception):
        pass

    def tick() -> None:
        raise Stop

    hostile.insert(owner, [card | {"body": "x" * 20_000} for card in hostile.cards(2_000)])
    before = threading.active_count()
    chunks = CardStream(Selection(owner, "json"), width=3, tick=tick).chunks()
    next(chunks)
    time.sleep(1.1)
    with pytest.raises(Stop):
        list(chunks)
    assert threading.active_count() == before
    assert idle(database) == 0


def test_a_killed_session_is_an_error_not_an_end(database: str, owner: UUID, small_ranges: None) -> None:
    hostile.insert(owner, [card | {"body": "x" * 20_000} for card in hostile.cards(2_000)])
    chunks = CardStream(Selection(owner, "json"), width=3).chunks()
    next(chunks)
    with psycopg.connect(database) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Exception, match=r"(?i)terminat|closed|available|lost"):
        list(chunks)


def test_deleted_cards_and_other_owners_are_not_there(database: str, owner: UUID) -> None:
    hostile.insert(owner, hostile.cards(3))
    with psycopg.connect(database) as connection:
        other = uuid4()
        connection.execute("INSERT INTO users (id, name) VALUES (%s, 'other')", (other,))
        connection.execute(
            "UPDATE cards SET deleted_at = now(), is_published = false, published_url = NULL "
            "WHERE id IN (SELECT id FROM cards ORDER BY id LIMIT 1)"
        )
    hostile.insert(other, hostile.cards(2))
    assert len(lines(owner)) == 2
    assert len(lines(other)) == 2


def test_csv_tells_null_from_empty_and_guards_formulas(owner: UUID) -> None:
    plain = {"body": "", "category": "c", "privacy_level": "PRIVATE"}
    texts = ["=1", "+1", "-1", "@x", "\tx", "\rx", "'x", "x=1", " =1"]
    hostile.insert(owner, [{"title": text, **plain} for text in texts])
    data = b"".join(CardStream(Selection(owner, "csv")).chunks()).decode()
    rows = list(csv.reader(io.StringIO(data, newline="")))
    assert [row[1] for row in rows] == [text if text in ("x=1", " =1") else "'" + text for text in texts]
    # body is "", quoted; source_platform is null, not quoted
    assert ',"",c,PRIVATE,[],,,,{},false,,,' in data.split("\n")[0]


def test_markdown_lines_break_only_where_they_should(owner: UUID) -> None:
    title = "a\u0085b\u2028c\u2029d\ne\x0bf"
    hostile.insert(owner, [{"title": title, "body": title, "category": "c", "privacy_level": "PRIVATE"}])
    document = b"".join(CardStream(Selection(owner, "markdown")).chunks()).decode()
    matter, _, body = document.partition("\n---\n\n")
    assert body == title + "\n"
    assert len(matter.splitlines()) == len(matter.split("\n"))
    values = dict(line.split(": ", 1) for line in matter.split("\n")[1:])
    assert json.loads(values["title"]) == title
    assert int(values["body_bytes"]) == len(title.encode())


def test_metadata_can_be_left_out(owner: UUID) -> None:
    hostile.insert(owner, [{"title": "t", "body": "", "category": "c", "privacy_level": "PRIVATE"}])
    assert "metadata" in lines(owner)[0]
    assert "metadata" not in lines(owner, metadata=False)[0]


def test_names_of_files_are_safe_and_unique(owner: UUID) -> None:
    titles = ["../../etc/passwd", "same", "same", "漢字", "C:\\x", ".hidden", "é" * 500, "con", "a/b"]
    hostile.insert(
        owner, [{"title": title, "body": "", "category": "c", "privacy_level": "PRIVATE"} for title in titles]
    )
    names = [name for entries in CardStream(Selection(owner, "files")).entries(list) for name, _ in entries]
    assert len(set(names)) == len(titles)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert not name.startswith(".")
        assert len(name) < 120


def test_a_large_card_passes_whole(owner: UUID) -> None:
    body = "\x01é" * 349_525
    hostile.insert(owner, [{"title": "t", "body": body, "category": "c", "privacy_level": "PRIVATE"}] * 3)
    found = lines(owner, filters=Filters(categories=("c",)))
    assert [card["body"] for card in found] == [body] * 3
