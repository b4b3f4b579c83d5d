"""Markdown files and archives of them: documents told apart, properties read, bodies kept."""

from __future__ import annotations

import io
import json
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.schema import CardIn
from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.base import ItemProblem, Limits
from backend.formats.markdown_sources import MarkdownSource, ZipSource
from backend.formats.registry import to_card
from backend.tests.formats.reading import cards, outcomes


def read(text: str | bytes, folder: Path, **more: Any) -> list[tuple[str, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [(card["title"], card["body"]) for card in cards(MarkdownSource(), data, folder, **more)]


def zipped(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A title\n\nText\n", [("A title", "# A title\n\nText")]),
        ("---\ntitle: A\n---\n\nText", [("A", "Text")]),
        ("---\ntitle: A\n---\nx\n---\ntitle: B\n---\ny\n", [("A", "x"), ("B", "y")]),
        ("\ufeff---\r\ntitle: A\r\n---\r\n\r\nx\r\ny\r\n", [("A", "x\r\ny")]),
        ("---\ntitle: A\n---\nx\n\n---\n\nno: property\n\n---\n", [("A", "x\n\n---\n\nno: property\n\n---")]),
        ("---\ntitle: A\n---\nx\n---\n- a list\n---\n", [("A", "x\n---\n- a list\n---")]),
        ("\n\n---\ntitle: A\n---\nx", [("A", "x")]),
        ("---\nnever closed", [("---", "---\nnever closed")]),
        ("---\ntitle: A\n---\n", [("A", "")]),
        ("---\ntitle: 1984\n---\nx", [("1984", "x")]),
    ],
)
def test_documents_are_told_apart(text: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    assert read(text, tmp_path) == expected


def test_rows_are_the_lines_where_documents_begin(tmp_path: Path) -> None:
    text = b"\n---\ntitle: A\n---\nx\n\n---\ntitle: B\n---\ny\n"
    assert [row for row, _ in outcomes(MarkdownSource(), text, tmp_path)] == [2, 7]


def own(body: str, title: str = "T", size: int | None = None, more: str = "") -> str:
    """A document as an export writes it."""
    size = len(body.encode()) if size is None else size
    matter = (
        f'title: {json.dumps(title)}\ncategory: "c"\nprivacy_level: "PRIVATE"\n{more}body_bytes: {size}\n'
    )
    return f"---\n{matter}---\n\n{body}\n"


_BODY = st.lists(
    st.sampled_from(
        ["---", "\n", "---\ntitle: x\n---\n", "\r\n", "\r", " ", "a", "body_bytes: 1", "é", "\u2028"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bodies=st.lists(_BODY, min_size=1, max_size=5))
def test_our_own_documents_are_read_to_the_byte_whatever_a_body_says(
    tmp_path: Path, bodies: list[str]
) -> None:
    assert read("".join(map(own, bodies)), tmp_path) == [("T", body) for body in bodies]


def test_an_edited_body_is_read_up_to_the_next_document(tmp_path: Path) -> None:
    text = own("longer than it was\n---\nstill", size=3) + own("next") + own("short", size=400)
    assert read(text, tmp_path) == [("T", "longer than it was\n---\nstill"), ("T", "next"), ("T", "short")]


def test_a_size_that_does_not_fit_costs_no_time(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert read(own("\n" * 1_000_000 + "\r---\r", size=3_000_000), tmp_path)[0][0] == "T"
    assert time.perf_counter() - began < 10  # shifting a list would take minutes


def test_metadata_keeps_its_digits_and_edited_documents_their_fields(tmp_path: Path) -> None:
    matter = 'metadata: {"n": 1.50, "big": 123456789012345678901234567890}\ntags: ["a"]\n'
    for size in (None, 99):
        ((_, card),) = outcomes(MarkdownSource(), own("x", size=size, more=matter).encode(), tmp_path)
        assert isinstance(card, CardIn)
        assert bytes(card.metadata) == b'{"n": 1.50, "big": 123456789012345678901234567890}'  # type: ignore[arg-type]
        assert (card.tags, card.body) == (["a"], "x")


def test_our_own_document_with_other_line_ends_keeps_no_size_in_its_metadata(tmp_path: Path) -> None:
    (card,) = cards(MarkdownSource(), own("a\nb").replace("\n", "\r\n").encode(), tmp_path)
    assert card == {"title": "T", "body": "a\r\nb", "category": "c", "privacy_level": "PRIVATE"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("created: 2023-11-05", {"created_at": datetime(2023, 11, 5, tzinfo=UTC)}),
        ("created: 2023-11-05T10:00:00+02:00", {"created_at": datetime(2023, 11, 5, 8, tzinfo=UTC)}),
        ("created: last autumn", {"metadata": {"created": "last autumn"}}),
        ("url: https://example.org", {"source_url": "https://example.org"}),
        ("url: [[Home]]", {"metadata": {"url": [["Home"]]}}),
        ("tags: [a, 1984, 2024-01-05]", {"tags": ["a", "1984", "2024-01-05"]}),
        ("tags: a, b", {"tags": ["a", "b"]}),
        ("id: 202301011200", {"metadata": {"id": 202301011200}}),
        ("body: property", {"metadata": {"body": "property"}}),
        ("picture: !!binary aGVsbG8=", {"metadata": {"picture": "aGVsbG8="}}),
        ("nested: {a: [1, {b: 2024-01-05}]}", {"metadata": {"nested": {"a": [1, {"b": "2024-01-05"}]}}}),
        ("privacy_level: business", {"privacy_level": "BUSINESS"}),
        ("done: true\nempty:\nscore: 4.5", {"metadata": {"done": True, "score": 4.5}}),
    ],
)
def test_properties_become_fields_or_metadata(line: str, expected: dict[str, Any], tmp_path: Path) -> None:
    plain = {"title": "T", "body": "x", "category": "IMPORTED", "privacy_level": "PRIVATE"}
    (card,) = cards(MarkdownSource(), f"---\ntitle: T\n{line}\n---\nx".encode(), tmp_path)
    assert card == plain | expected


_YAML = st.text(alphabet="abtidy: -[]{}!&*\"'\n0123456789.#|>~é", max_size=80)


@settings(max_examples=300, deadline=None)
@given(
    text=_YAML
    | st.sampled_from(["!!float .nan", "!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!int 1:2"])
)
def test_no_front_matter_breaks_the_worker(text: str) -> None:
    for document in (f"---\na: {text}\n---\nx", f"---\n{text}\n---\nx", f"---\nmetadata: {text}\n---\nx"):
        mapped = to_card("markdown", {}, json.dumps(document).encode(), {})
        if isinstance(mapped, dict):
            json.dumps(mapped)
        else:
            assert isinstance(mapped, bytes | ItemProblem)


def test_a_zip_gives_a_card_per_markdown_file_and_says_what_it_cannot_read(tmp_path: Path) -> None:
    data = zipped({
        "Notes/Deep/A.md": "---\ntags: [x]\n---\nbody a",
        "B.MARKDOWN": "\ufeffbody b",
        "Notes/": b"", ".obsidian/x.md": "no", "a/.trash/x.md": "no", "__MACOSX/._B.md": "no",
        "picture.png": b"\x89",
        "broken.md": b"\xff\xfe",
        "large.md": "x" * 2_000,
        "Folders with a name longer than fifty characters are cut/C.md": "c",
    })  # fmt: skip
    found = outcomes(ZipSource(), data, tmp_path, limits=Limits(max_record_bytes=1_000))
    read_ = [(row, card.code if isinstance(card, ItemProblem) else card.title) for row, card in found]
    assert read_ == [(1, "A"), (2, "B"), (7, "unreadable_row"), (8, "unreadable_row"), (9, "C")]
    assert [card.category for _, card in found if isinstance(card, CardIn)] == [
        "Notes", "IMPORTED", "Folders with a name longer than fifty characters a",
    ]  # fmt: skip
    mine = outcomes(ZipSource(), data, tmp_path, options={"default_category": "Mine"})
    assert {card.category for _, card in mine if isinstance(card, CardIn)} == {"Mine"}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff", MalformedBody),
        (b"x" * 2_000, PayloadTooLarge),
        (b"---\na: 1\n---\n" + b"x\n" * 900, PayloadTooLarge),
    ],
)
def test_what_is_no_markdown_is_refused(data: bytes, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        outcomes(MarkdownSource(), data, tmp_path, limits=Limits(max_record_bytes=1_000))


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PayloadTooLarge):
        outcomes(
            ZipSource(), zipped({f"{n}.md": "" for n in range(6)}), tmp_path, limits=Limits(max_entries=5)
        )
