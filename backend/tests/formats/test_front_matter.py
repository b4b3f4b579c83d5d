"""The properties of a note."""

import time
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.formats.front_matter import split_front_matter


def test_properties_end_at_the_second_line_of_dashes() -> None:
    assert split_front_matter("---\na: 1\n---\ntext\n---\nmore") == ({"a": 1}, "text\n---\nmore")


@pytest.mark.parametrize(
    "text",
    [
        "---\r\na: 1\r\n---\r\ntext",
        "\ufeff---\na: 1\n---\ntext",
        "---\na: 1\n...\ntext",
        "---  \na: 1\n--- \ntext",
    ],
)
def test_line_ends_and_marks_of_other_systems_are_read(text: str) -> None:
    assert split_front_matter(text) == ({"a": 1}, "text")


@pytest.mark.parametrize("text", ["---\n---\nx", "---\n# only a comment\n---\nx"])
def test_empty_properties_are_none(text: str) -> None:
    assert split_front_matter(text) == ({}, "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "---\nnever closed",
        "----\na: 1\n---\n",
        " ---\na: 1\n---\n",
        "---\na: [1\n---\nx",
        "---\njust text\n---\nx",
        "---\na: &x 1\nb: *x\n---\nx",
        "text\n---\na: 1\n---\n",
        "---\na: !!python/object:os.system {}\n---\n",
    ],
)
def test_what_is_not_properties_stays_text(text: str) -> None:
    assert split_front_matter(text) == ({}, text)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2024-02-30", "2024-02-30"),
        ("9" * 30, "9" * 30),
        (".inf", ".inf"),
        ("true", True),
        ("1984", 1984),
        ("4.5", 4.5),
        ("2024-02-29", date(2024, 2, 29)),
        ("~", None),
        ('"1984"', "1984"),
        ("[[Home]]", [["Home"]]),
        ("2024-01-05T9999", "2024-01-05T9999"),
    ],
)
def test_values_are_read_as_obsidian_reads_them(value: str, read: Any) -> None:
    assert split_front_matter(f"---\na: {value}\n---\n") == ({"a": read}, "")


def test_keys_become_text() -> None:
    assert split_front_matter("---\n2024-01-05: a\n1: b\n---\n")[0] == {"2024-01-05": "a", "1": "b"}


@given(st.text(alphabet="-\n\r a:1[]{}&*!|>'\"#?\t,%@`é2024T", max_size=200))
def test_any_text_is_read_and_its_body_kept(text: str) -> None:
    for whole in (text, f"---\n{text}", f"---\n{text}\n---\nbody"):
        _, body = split_front_matter(whole)
        assert whole.endswith(body)


def test_a_hostile_block_stays_cheap() -> None:
    began = time.perf_counter()
    split_front_matter("---\n" + "a: [" * 30_000 + "\n---\n")
    split_front_matter("---\n" + "--\n" * 300_000)
    assert time.perf_counter() - began < 5
