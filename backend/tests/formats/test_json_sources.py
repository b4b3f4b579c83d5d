"""JSON documents and lines: every record as it was sent, digit by digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.schema import CardIn
from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats import json_sources
from backend.formats.base import ItemProblem, Limits
from backend.formats.json_sources import JsonSource, NdjsonSource
from backend.tests.formats.reading import outcomes

CARD = b'{"title":"A","body":"","category":"c","privacy_level":"PRIVATE"}'
EXACT = CARD[:-1] + b',"metadata":{"n":1.50,"big":123456789012345678901234567890}}'


def raws(source: Any, data: bytes, folder: Path, **limits: int) -> list[tuple[bytes, int | None]]:
    path = folder / "upload"
    path.write_bytes(data)
    return [(record.raw, record.row) for record in source.split(path, None, Limits(**limits))]


def test_a_line_is_a_record_under_its_number(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + CARD + b"\r\n\n  \t" + EXACT + b"  \n" + CARD
    assert raws(NdjsonSource(), data, tmp_path) == [(CARD, 1), (EXACT, 3), (CARD, 4)]


def test_a_line_beyond_the_cap_fails_alone(tmp_path: Path) -> None:
    data = CARD + b"\n" + b"[" * 5_000 + b"\n" + CARD + b"\n" + b"{" * 3_000
    found = outcomes(NdjsonSource(), data, tmp_path, limits=Limits(max_record_bytes=1_000))
    assert [(row, isinstance(card, CardIn)) for row, card in found] == [
        (1, True), (2, False), (3, True), (4, False),
    ]  # fmt: skip
    assert isinstance(found[1][1], ItemProblem)
    assert "1,000 bytes" in found[1][1].message


_PIECES = [b"\n", b"\n", b"a", b"bc", b" ", b"\r\n", b"\t", b"x" * 12, b"\xef\xbb\xbf", b"\x0b"]


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(_PIECES), max_size=30), at_once=st.integers(1, 40))
def test_lines_are_the_same_however_much_is_read_at_once(
    pieces: list[bytes], at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest, data = 10, b"".join(pieces)
    expected = [
        (json.loads(raw)["unreadable"] if len(line) > longest else raw, row)
        for row, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
        if (raw := b'{"unreadable":""}' if len(line) > longest else line.strip(b" \t\r\n"))
    ]
    monkeypatch.setattr(json_sources, "_READ_BYTES", at_once)
    found = raws(NdjsonSource(), data, tmp_path, max_record_bytes=longest)
    assert [("" if raw.startswith(b"{") else raw, row) for raw, row in found] == expected


@pytest.mark.parametrize("line", [b"{bad", b'{"a":1,"a":2}', b'{"a":1e999}', b"[NaN]", b"\xff", b"[" * 99])
def test_a_line_that_is_no_strict_json_fails_with_its_place(line: bytes, tmp_path: Path) -> None:
    ((_, problem),) = outcomes(NdjsonSource(), line, tmp_path)
    assert isinstance(problem, ItemProblem)
    assert problem.code == "unreadable_row"
    assert "column" in problem.message


@pytest.mark.parametrize(
    "document",
    [b"[%s, %s]", b'{"cards": [%s,%s]}', b' {"x": 1, "cards":[ %s ,%s ] }', b'{"errors": [%s,\n%s]}'],
)
def test_a_documents_elements_are_records_as_they_stand(document: bytes, tmp_path: Path) -> None:
    assert raws(JsonSource(), document % (CARD, EXACT), tmp_path) == [(CARD, None), (EXACT, None)]


@pytest.mark.parametrize("source", [JsonSource, NdjsonSource])
def test_a_wrapped_card_is_taken_out_as_it_is_written(source: Any, tmp_path: Path) -> None:
    entry = b'{"index":1,"code":"c","message":"m","card":%s}' % EXACT
    data = entry if source is NdjsonSource else b'{"errors":[%s]}' % entry
    ((_, card),) = outcomes(source(), data, tmp_path)
    assert isinstance(card, CardIn)
    assert bytes(card.metadata) == b'{"n":1.50,"big":123456789012345678901234567890}'  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"5", b"{}", b'"x"', b"", b"[1,]", b'{"cards": 5}'])
def test_a_document_without_an_array_of_cards_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedBody):
        outcomes(JsonSource(), data, tmp_path)


def test_a_document_beyond_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_sources, "_LARGEST_DOCUMENT", 100)
    with pytest.raises(PayloadTooLarge):
        outcomes(JsonSource(), json.dumps([json.loads(CARD)] * 3).encode(), tmp_path)
