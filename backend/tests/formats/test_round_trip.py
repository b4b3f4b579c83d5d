"""Lossless: out in any format and compression, into an empty account, out again: equal."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.reading import read_card
from backend.cards.schema import CardIn
from backend.formats.base import ItemProblem, Limits
from backend.formats.fields import encoded
from backend.formats.registry import source_for, to_card
from backend.operations.export_options import FORMATS, ExportOptions
from backend.operations.export_stream import ExportStream
from backend.tests.support import hostile

CARDS = 5_000
# What the server decides anew for every card it makes.
ASSIGNED = ("id", "updated_at", "published_url", "published_at")
CASES = list(product(FORMATS, (None, "gzip", "zstd")))


def new_owner(database: str) -> UUID:
    owner = uuid.uuid4()
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (owner, f"user-{owner}"))
    return owner


def export(owner: UUID, format: str, compression: str | None = None, width: int = 1) -> bytes:
    return b"".join(ExportStream(owner, ExportOptions(format, compression), width=width))


def read(data: bytes, format: str, compression: str | None, folder: Path) -> list[CardIn]:
    """A file as the importer reads it: split, staged, mapped, validated."""
    path = folder / "upload"
    path.write_bytes(data)
    source = source_for(FORMATS[format].media_type.partition(";")[0])
    records = list(source.split(path, compression, Limits(max_ratio=10_000)))
    context = json.loads(json.dumps(source.context()))
    return [_card(source.name, context, record.raw) for record in records]


def _card(name: str, context: Any, raw: bytes) -> CardIn:
    mapped = to_card(name, context, raw, {})
    assert not isinstance(mapped, ItemProblem), (mapped, raw)
    card = read_card(mapped if isinstance(mapped, bytes) else encoded(mapped))
    assert isinstance(card, CardIn), (card, raw)
    return card


def plain(owner: UUID) -> list[dict[str, Any]]:
    """An account's cards as JSON, without what the server assigns; numbers as they are written."""
    lines = export(owner, "ndjson").split(b"\n")
    cards = [json.loads(line, parse_float=str, parse_int=str) for line in lines if line]
    return [{name: value for name, value in card.items() if name not in ASSIGNED} for card in cards]


@pytest.mark.parametrize(("format", "compression"), CASES)
def test_hostile_cards_come_back_equal(
    database: str, owner: UUID, tmp_path: Path, format: str, compression: str | None
) -> None:
    hostile.insert(owner, hostile.cards(CARDS, seed=len(format)))
    data = export(owner, format, compression, width=3)
    again = new_owner(database)
    hostile.insert(again, read(data, format, compression, tmp_path))
    before, after = plain(owner), plain(again)
    assert len(before) == CARDS
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        assert one == other, index


def test_what_an_export_says_is_what_was_sent(database: str, owner: UUID) -> None:
    sent = hostile.cards(CARDS, seed=7)
    hostile.insert(owner, sent)
    for index, (card, out) in enumerate(zip(sent, plain(owner), strict=True)):
        for name in ("title", "body", "category", "privacy_level"):
            assert out[name] == card[name], (index, name)
        assert out["tags"] == (card.get("tags") or []), index
        for name in ("source_platform", "source_url", "external_id"):
            assert out[name] == card.get(name), (index, name)


def _stamp(seconds: int) -> str:
    """A moment of the years 1 to 9999, now and then with microseconds and an offset."""
    offset = timezone(timedelta(minutes=seconds % 1440 - 720))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=seconds % 7 * 142_857)
    return moment.astimezone(offset if seconds % 3 else UTC).isoformat()


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
_CARDS = st.lists(
    st.fixed_dictionaries(
        {
            "title": _TEXT,
            "body": _TEXT | st.just(""),
            "category": _TEXT,
            "privacy_level": st.sampled_from(hostile.LEVELS),
        },
        optional={
            "tags": st.lists(_TEXT, max_size=4),
            "source_platform": _TEXT | st.just(""),
            "external_id": _TEXT,
            "created_at": st.integers(-62_135_400_000, 253_401_900_000).map(_stamp),
            "metadata": st.dictionaries(
                _TEXT,
                _TEXT
                | st.none()
                | st.booleans()
                | st.integers()
                | st.lists(_TEXT, max_size=2)
                | st.floats(allow_nan=False, allow_infinity=False),
            ),
        },
    ),
    min_size=1,
    max_size=5,
)


# Numbers that Python's would change, and what a table or front matter could take for nothing.
EXACT = [
    b'"metadata":{"n":1.50,"z":0.0,"e":1E+2,"tiny":1e-30,"big":123456789012345678901234567890,"neg":-0.10}',
    b'"metadata":{"digits":0.1000000000000000055511151231257827021181583404541015625}',
    b'"metadata":{"":"","null":null,"list":[[],{}],"\\u2028":"\\u0085\\u2029","deep":{"a":{"b":[1.0,{"c":2.00}]}}}',
    b'"metadata":{}',
    b'"metadata":null',
    b'"tags":["","\\n","a,b","[1]","null"],"source_platform":"null"',
    b'"tags":null,"source_platform":"","source_url":null,"external_id":null',
    b'"external_id":"\'=1","source_platform":"\\t"',
    b'"created_at":"0001-01-04T00:00:00.000001Z"',
    b'"created_at":"9999-12-28T23:59:59.999999+00:00"',
    b'"created_at":"2024-02-29T12:00:00.5+14:00","metadata":{"title":"x","tags":[1],"body_bytes":3}',
]


@pytest.mark.parametrize(("format", "compression"), CASES)
def test_every_digit_and_every_kind_of_nothing_comes_back(
    database: str, owner: UUID, tmp_path: Path, format: str, compression: str | None
) -> None:
    heads = [b"'", b"=", b" ", b"\\r", b"---", b"1e5", b"2024-01-01", b"#"]
    sent = []
    for number, more in enumerate(EXACT * 2):
        head = heads[number % len(heads)]
        fixed = b'{"title":"%s","body":"%s","category":"%s","privacy_level":"Ideas",' % (
            head,
            b"" if number % 3 else head,
            head,
        )
        card = read_card(fixed + more + b"}")
        assert isinstance(card, CardIn), (card, more)
        sent.append(card)
    hostile.insert(owner, sent)
    again = new_owner(database)
    hostile.insert(again, read(export(owner, format, compression), format, compression, tmp_path))
    assert plain(again) == plain(owner)
    assert plain(owner)[0]["metadata"]["big"] == "123456789012345678901234567890"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cards=_CARDS, format=st.sampled_from(list(FORMATS)))
def test_any_text_survives_any_format(
    database: str, tmp_path: Path, cards: list[dict[str, Any]], format: str
) -> None:
    first, second = new_owner(database), new_owner(database)
    hostile.insert(first, cards)
    hostile.insert(second, read(export(first, format), format, None, tmp_path))
    assert plain(first) == plain(second)
