"""The header lines of an Anki export."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.formats.presets.anki_headers import read_headers


def read(text: str) -> tuple[dict[str, object], str]:
    return read_headers(iter(text.splitlines(keepends=True)))


def test_every_header_is_read() -> None:
    headers, first = read(
        "#separator:tab\n#html:true\n#guid column:1\n#notetype column:2\n"
        "#deck column:3\n#tags column:6\nfirst\tline\n"
    )
    assert headers == {
        "separator": "\t",
        "html": True,
        "guid column": 1,
        "notetype column": 2,
        "deck column": 3,
        "tags column": 6,
    }
    assert first == "first\tline\n"


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        ("Comma", ","),
        ("semicolon", ";"),
        ("Tab", "\t"),
        ("tab", "\t"),
        ("Space", " "),
        ("Pipe", "|"),
        ("colon", ":"),
        (";", ";"),
        ("\t", "\t"),
    ],
)
def test_the_separator_is_a_name_or_the_sign_itself(value: str, mark: str) -> None:
    assert read(f"#separator:{value}\na\n")[0]["separator"] == mark


@pytest.mark.parametrize(
    ("line", "mark"), [("a\tb;c", "\t"), ("a;b,c", ";"), ("a,b", ","), ("a|b", "|"), ("alone", "\t")]
)
def test_without_a_header_the_first_line_tells_the_separator(line: str, mark: str) -> None:
    assert read(line)[0]["separator"] == mark


def test_tags_for_all_notes_come_from_both_spellings() -> None:
    assert read("tags:one two\n#tags:three\nx")[0]["tags"] == "one two three"


def test_columns_may_name_the_special_ones() -> None:
    headers, _ = read("#columns:Front;Back;Tags;GUID\n#separator:Semicolon\n#tags column:1\na")
    assert headers["columns"] == ["Front", "Back", "Tags", "GUID"]
    assert headers["tags column"] == 1
    assert headers["guid column"] == 4


@pytest.mark.parametrize(
    "line", ["#tags column:0", "#tags column:x", "#html:maybe", '#separator:"', "# a comment", "#", "#deck:"]
)
def test_a_header_that_says_nothing_is_a_comment(line: str) -> None:
    assert read(f"{line}\nx")[0] == {"html": None, "separator": "\t"}


@given(
    st.lists(
        st.sampled_from(
            ["#", "separator", "columns", "tags", " column", ":", "1", "\n", "a", '"', ";", "html:true"]
        ),
        max_size=30,
    )
)
def test_any_text_is_read(pieces: list[str]) -> None:
    headers, first = read("".join(pieces))
    assert len(str(headers["separator"])) == 1
    assert not first.startswith("#")
