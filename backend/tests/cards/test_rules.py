"""What is published, under which address, and what makes two cards the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cards.rules import SLUG_LENGTH, Publishing, fingerprint, slug

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("business", "ideas", "levels"),
    [
        (True, True, {"BUSINESS", "IDEAS"}),
        (False, True, {"IDEAS"}),
        (True, False, {"BUSINESS"}),
        (False, False, set()),
    ],
)
def test_only_business_and_ideas_are_ever_published(business: bool, ideas: bool, levels: set[str]) -> None:
    assert Publishing(business, ideas).levels() == levels


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Hello, World!", "hello-world"),
        ("Ünïcödé  Ḟolded", "unicode-folded"),
        ("漢字", "card"),
        ("--- ", "card"),
        ("a" * 59 + " b" + "c" * 50, "a" * 59),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_slug_says_the_title_in_ascii(title: str, expected: str) -> None:
    assert slug(title) == expected


@given(_TEXT)
def test_any_title_makes_a_slug_that_needs_no_escaping(title: str) -> None:
    made = slug(title)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= SLUG_LENGTH


_BYTES = _TEXT.map(str.encode)


@given(_BYTES, _BYTES, _BYTES)
def test_title_and_body_do_not_run_into_each_other(title: bytes, body: bytes, more: bytes) -> None:
    assert (fingerprint(title + more, body, None) == fingerprint(title, more + body, None)) == (more == b"")


@given(_BYTES, _BYTES, _TEXT)
def test_an_external_id_decides_alone(title: bytes, body: bytes, external: str) -> None:
    assert fingerprint(title, body, external) == fingerprint(b"other", b"other", external)
    assert fingerprint(title, body, external) != fingerprint(title, body, None)
    assert fingerprint(title, body, external) != fingerprint(title, body, external + "x")
