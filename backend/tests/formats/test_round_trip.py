"""Lossless: out in any format and compression, into an empty account, out again: equal."""

from __future__ import annotations

import json
import uuid
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.schema import CardIn, read_card
from backend.formats.base import ItemProblem, Limits
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
    card = read_card(mapped if isinstance(mapped, bytes) else msgspec.json.encode(mapped))
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
            "source_platform": _TEXT,
            "external_id": _TEXT,
            "metadata": st.dictionaries(
                _TEXT, _TEXT | st.none() | st.booleans() | st.lists(_TEXT, max_size=2)
            ),
        },
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cards=_CARDS, format=st.sampled_from(list(FORMATS)))
def test_any_text_survives_any_format(
    database: str, tmp_path: Path, cards: list[dict[str, Any]], format: str
) -> None:
    first, second = new_owner(database), new_owner(database)
    hostile.insert(first, cards)
    hostile.insert(second, read(export(first, format), format, None, tmp_path))
    assert plain(first) == plain(second)
