"""Bytes over the wire to PostgreSQL, per card: each card crosses it once, compressed while it waits."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from backend.core.settings import get_settings
from backend.operations.parts import Part
from backend.tests.performance.wire import Meter
from backend.tests.support.engine import Engine

FEW, MANY = 200, 1_200
ROOM = 1.15  # ids and texts compress a little better or worse each time


class PerCard(NamedTuple):
    """Bytes."""

    sent: float
    received: float


def _cards() -> list[dict[str, Any]]:
    """About 600 bytes of JSON each, in words that compress as texts do."""
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlucm", k=chance.randint(2, 9))) for _ in range(3_000)]
    return [
        {
            "title": f"{' '.join(chance.choices(words, k=5))} {index}",
            "body": " ".join(chance.choices(words, k=65)),
            "category": "BUSINESS",
            "privacy_level": "BUSINESS" if index % 2 else "PRIVATE",
            "tags": chance.choices(words, k=2),
            "source_url": f"https://example.com/notes/{index}",
            "metadata": {"number": index},
        }
        for index in range(MANY)
    ]


CARDS = _cards()
CARD = (len(json.dumps(CARDS)) - len(json.dumps(CARDS[:FEW]))) / (MANY - FEW)
STAGED = CARD / 3  # compressed
ID = 37  # a UUID as text, and what separates it from the next
ROW = 7  # a row of an answer begins with a letter, two lengths and a field count; each field has a length
# What may cross. "import" gets the staged cards and sends rows, which carry more than the JSON: ids,
# fingerprint, times, the published address. "skip" asks for fingerprints and is told ids.
BOUNDS = {
    "submit": PerCard(STAGED, 0),
    "import": PerCard(1.15 * CARD, STAGED),
    "skip": PerCard(ID, STAGED + 2 * ID + ROW + 8),
    "update": PerCard(1.1 * CARD, STAGED + 2 * ID + ROW + 8),
    "soft delete": PerCard(ID, ID + ROW + 4),
    "hard delete": PerCard(ID, ID + ROW + 4),
    "restore": PerCard(ID, ID + ROW + 4),
}


@pytest.fixture(autouse=True)
def one_part(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every operation is one part, so that the difference of two is what the cards take."""
    monkeypatch.setenv("PART_MIN_ITEMS", str(MANY))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def warm(engine: Engine) -> Engine:
    """Statements are prepared by now."""
    for _ in range(5):
        engine.done(engine.imports(CARDS[:2]))
    return engine


def _per_card(engine: Engine, meter: Meter, kind: str) -> PerCard:
    seen = []
    for count in (FEW, MANY):
        if kind == "submit":
            meter.reset()
            engine.imports(CARDS[:count])
        else:
            operation = _start(engine, kind, count)
            meter.reset()
            engine.run()
        seen.append(meter.read())
        if kind != "submit":
            assert engine.status(operation)["status"] == "SUCCESS"
    few, many = seen
    more = MANY - FEW
    return PerCard((many.sent - few.sent) / more, (many.received - few.received) / more)


def _start(engine: Engine, kind: str, count: int) -> UUID:
    if kind == "import":
        return engine.imports(CARDS[:count])
    if kind in ("skip", "update"):
        engine.done(engine.imports(CARDS[:count]))
        return engine.imports(CARDS[:count], on_duplicate=kind)
    made = engine.imports(CARDS[:count])
    engine.run()
    ids = [line["card_id"] for line in engine.results(made)]
    if kind == "restore":
        engine.done(engine.deletes(ids))
        return engine.deletes(ids, "restore")
    return engine.deletes(ids, soft_delete=kind == "soft delete")


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_card_takes_no_more_bytes_than_it_did(kind, warm, postgres):
    found = _per_card(warm, postgres, kind)
    most = BOUNDS[kind]
    assert found.sent <= most.sent * ROOM, (found, most, CARD)
    assert found.received <= most.received * ROOM, (found, most, CARD)


@pytest.mark.parametrize("format", ["csv", "ndjson", "json", "markdown"])
def test_an_exported_card_crosses_the_wire_once_as_it_is_written(format, warm, postgres):
    sizes, received = [], []
    for count in (FEW, MANY):
        warm.done(warm.imports(CARDS[:count]))
        operation = warm.start("export", [Part(0, 0, 0, None)], {"format": format})
        postgres.reset()
        warm.run()
        received.append(postgres.read().received)
        sizes.append(warm.status(operation)["result"]["file_size_bytes"])
    written = sizes[1] - sizes[0]
    # A row travels in a message of its own (five bytes), in binary with a field count and a length too.
    assert written <= received[1] - received[0] <= written + MANY * 16
