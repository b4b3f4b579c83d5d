"""Memory per card, of what Python allocates (``tracemalloc``), and that none of it stays.

Two sizes are compared, so that what does not depend on the cards falls out. Memory is told in sizes of the
cards' JSON, so that the bounds mean the same for cards of any size.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backend.core.settings import get_settings
from backend.core.texts import Texts
from backend.formats.envelope import look_into, quick_envelope
from backend.operations import parts
from backend.operations.parts import Part
from backend.operations.submit import sizes
from backend.tests.performance.test_bytes import CARDS
from backend.tests.support.engine import Engine

KIB = 1024
# In sizes of the cards' JSON. Measured 1.3 (what is compressed and waits for PostgreSQL) and 2.4.
ACCEPTING, WORKING = 1.6, 3.0
RAWS = [json.dumps(card).encode() for card in CARDS]


@contextmanager
def _traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _peak(act: Callable[[], Any]) -> int:
    """Bytes that ``act`` held at its worst beyond what was there before."""
    with _traced():
        act()
        return tracemalloc.get_traced_memory()[1]


def _raws(count: int) -> list[bytes]:
    return [RAWS[index % len(RAWS)] for index in range(count)]


def _one_part(monkeypatch: pytest.MonkeyPatch, cards: int) -> None:
    monkeypatch.setenv("PART_MIN_ITEMS", str(cards))
    monkeypatch.setenv("PART_MAX_ITEMS", str(cards))
    get_settings.cache_clear()


def test_accepting_ten_thousand_cards_takes_little_more_than_their_text(engine: Engine):
    """Beside the body itself: what is compressed until PostgreSQL has it."""

    def accept(count: int) -> tuple[int, int]:
        body = b'{"cards":[' + b",".join(_raws(count)) + b"]}"

        def act() -> None:
            cards = quick_envelope(body).cards or Texts.of([])
            engine.start("import", parts.cut(cards, sizes(get_settings()), look_into), {})

        return _peak(act), len(body)

    accept(1_000)
    (small, few), (large, many) = accept(2_000), accept(10_000)
    assert (large - small) / (many - few) <= ACCEPTING


def test_large_cards_are_not_decoded_side_by_side():
    """Decoded, one emoji makes a text four times as large."""

    def accept(count: int) -> tuple[int, int]:
        card = json.dumps({"title": "t", "body": "x" * 1_000 * KIB + "😀"}, ensure_ascii=False).encode()
        body = b'{"cards":[' + b",".join([card] * count) + b"]}"
        return _peak(lambda: look_into(quick_envelope(body).cards or Texts.of([]))), len(body)

    (small, few), (large, many) = accept(4), accept(16)
    assert (large - small) / (many - few) <= ACCEPTING


@pytest.mark.parametrize(("mode", "most"), [("create", WORKING), ("skip", 7), ("update", 11)])
def test_a_worker_holds_a_part_a_few_times_over(mode, most, engine: Engine, monkeypatch):
    """Measured 2.4, 6.6 and 10.2: records and rows on the way; all rows at once where duplicates are looked
    for; and every field of those that change.
    """

    def work(count: int) -> tuple[int, int]:
        _one_part(monkeypatch, count)
        raws = RAWS[:count]
        if mode != "create":
            engine.done(engine.imports(raws))
        engine.imports(raws, on_duplicate=mode)
        return _peak(engine.run), sum(map(len, raws))

    work(200)
    (small, few), (large, many) = work(200), work(1_200)
    assert (large - small) / (many - few) <= most


@pytest.mark.parametrize("kind", ["delete", "restore"])
def test_a_worker_holds_little_per_id(kind, engine: Engine, monkeypatch):
    def work(count: int) -> int:
        _one_part(monkeypatch, count)
        made = engine.imports(RAWS[:count])
        engine.run()
        ids = [line["card_id"] for line in engine.results(made)]
        if kind == "restore":
            engine.done(engine.deletes(ids))
        engine.deletes(ids, kind)
        return _peak(engine.run)

    work(200)
    small, large = work(200), work(1_200)
    assert (large - small) / 1_000 <= 500  # bytes; measured 340 to 390


def test_an_export_holds_as_much_for_many_cards_as_for_few(engine: Engine):
    """Both are read by several connections, each a bounded amount ahead of the file.

    How far ahead they get, is a matter of the moment; the most of several exports is near the bound.
    """

    def export() -> int:
        engine.start("export", [Part(0, 0, 0, None)], {"format": "ndjson"})
        return _peak(engine.run)

    def most() -> int:
        return max(export() for _ in range(5))

    for _ in range(4):
        engine.done(engine.imports(_raws(5_000)))
    export()
    small = most()
    for _ in range(4):
        engine.done(engine.imports(_raws(5_000)))
    large = most()
    assert large <= 1.5 * small, (large, small)
    assert large <= 12_000_000


def test_nothing_stays_after_a_part(engine: Engine):
    def rounds(count: int) -> None:
        for _ in range(count):
            engine.done(engine.imports(RAWS[:200]))
        gc.collect()

    rounds(6)
    with _traced():
        rounds(2)
        before = tracemalloc.get_traced_memory()[0]
        rounds(10)
        stays = tracemalloc.get_traced_memory()[0] - before
    assert stays <= 64 * KIB  # measured 19; a part's records are 120
