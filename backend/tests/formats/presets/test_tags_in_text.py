"""Which words of a note are tags."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.formats.presets.tags_in_text import tags_in


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#one and #two", ["one", "two"]),
        ("#project/active/now", ["project/active/now"]),
        ("#trailing/ slash", ["trailing"]),
        ("#a,b #c.d #e!", ["a", "c", "e"]),
        ("#日本語 #עברית #emoji🚀", ["日本語", "עברית", "emoji🚀"]),
        ("#1984 #y1984 #19-84", ["y1984", "19-84"]),
        ("twice #same #same", ["same"]),
        ("- #list\n* [ ] #task\n> #quote", ["list", "task", "quote"]),
        ("| #cell | #other |", ["cell", "other"]),
    ],
)
def test_a_tag_is_a_word_after_a_hash(text: str, tags: list[str]) -> None:
    assert tags_in(text) == tags


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n## Another #heading",
        "#",
        "word#notag https://example.com/#fragment",
        "[text](https://example.com #x) [[Note#Part]] [[#Part of this #note]]",
        "`#code` and ``a ` #more`` end",
        "```\n#fenced\n```",
        "````md\n```\n#still fenced\n```\n#and here\n````",
        "~~~~\n#tilde\n~~~\n#inside\n~~~~",
        "- item\n  ```\n  #in a list\n  ```",
        "text\n\n    #indented code",
        "<!-- #comment\n#second line -->",
        '<span title="x #y">',
        "$$\n#formula\n$$",
        "an unclosed fence\n```\n#never ends",
    ],
)
def test_nothing_in_code_links_headings_or_comments_is_a_tag(text: str) -> None:
    assert tags_in(text) == []


def test_tags_are_found_again_after_code_and_comments() -> None:
    assert tags_in("```\n#no\n```\n#yes\n<!-- #no -->\n#also\n$$\nx\n$$\n#third\n") == [
        "yes",
        "also",
        "third",
    ]


def test_an_indented_line_under_a_list_item_is_text() -> None:
    assert tags_in("- item\n\n    #nested") == ["nested"]


@given(st.text(alphabet="#`~[]()<>$-! \n\ta1/é🚀\u200d", max_size=400))
def test_any_text_is_read(text: str) -> None:
    for tag in tags_in(text):
        assert tag
        assert tag in text


@pytest.mark.parametrize("unit", ["`", "``#", "[[", "](", "<", "$$", "#", "[[a", "<a ", "`a``b```c"])
def test_hostile_repeats_stay_cheap(unit: str) -> None:
    began = time.perf_counter()
    tags_in("#x " + unit * (200_000 // len(unit)))
    assert time.perf_counter() - began < 5
