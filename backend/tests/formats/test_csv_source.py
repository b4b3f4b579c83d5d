"""CSV as spreadsheets, databases and people write it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.schema import CardIn
from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.base import ItemProblem, Limits
from backend.formats.csv_source import CsvSource
from backend.formats.fields import guarded
from backend.tests.formats.reading import cards, outcomes


def read(data: bytes | str, folder: Path, **more: Any) -> list[dict[str, Any]]:
    return cards(CsvSource(), data.encode() if isinstance(data, str) else data, folder, **more)


def texts(data: bytes | str, folder: Path) -> list[tuple[str, str]]:
    return [(card["title"], card["body"]) for card in read(data, folder)]


# No NUL and no surrogates; a title must say something.
_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
_ROWS = st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=_ROWS,
    delimiter=st.sampled_from(",;\t|"),
    # With line ends of "\\n" alone this writer leaves a carriage return unquoted, which then ends a row.
    quoting=st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_any_writer_of_csv_writes_is_read(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, quoting: tuple[Any, str], encoding: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting[0], lineterminator=quoting[1])
    writer.writerow(["title", "body"])
    writer.writerows([[guarded(cell) for cell in row] for row in rows])
    read_rows = texts(out.getvalue().encode(encoding), tmp_path)
    # A row of nothing but white space is no row.
    assert read_rows == [row for row in rows if any(guarded(cell).strip() for cell in row)]


@pytest.mark.parametrize(
    "text",
    [
        "title,body\nA,b\n",
        "title;body\nA;b\n",
        "title\tbody\nA\tb\n",
        "title|body\nA|b\n",
        '"title";"body"\r\n"A";"b"\r\n',
        "'title','body'\n'A','b'\n",
        "sep=;\r\ntitle;body\r\nA;b\r\n",
        '"sep=|"\ntitle|body\nA|b\n',
        "\n\n  \ntitle,body\n\nA,b\n\n",
        "\ufeffTITLE , Body\nA,b",
        "title;body;a, b, c, d\nA;b;\n",
        "Content,Title\nb,A\n",
    ],
)
def test_every_usual_way_to_write_a_table_is_read(text: str, tmp_path: Path) -> None:
    assert texts(text, tmp_path) == [("A", "b")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_unicode_text_of_spreadsheets_is_read(encoding: str, tmp_path: Path) -> None:
    data = "\ufefftitle\tbody\r\nÄ\t日本\U0001f680\r\n".encode(encoding)
    assert texts(data, tmp_path) == [("Ä", "日本\U0001f680")]


def test_backslashes_escape_only_where_the_file_escapes_with_them(tmp_path: Path) -> None:
    escaped = 'title,body\n"say \\"hi\\", then","C:\\\\dir"\n'
    assert texts(escaped, tmp_path) == [('say "hi", then', "C:\\dir")]
    plain = 'title,body\n"ends in \\","a ""quote"""\nx,C:\\new\n'
    assert texts(plain, tmp_path) == [("ends in \\", 'a "quote"'), ("x", "C:\\new")]


def test_a_formula_guard_is_taken_off_and_an_apostrophe_that_guards_nothing_stays(tmp_path: Path) -> None:
    text = "title,body\n'=1+1,'@x\n''quoted','tis\n',''\n"
    assert texts(text, tmp_path) == [("=1+1", "@x"), ("'quoted'", "'tis"), ("'", "'")]


def test_each_row_is_known_by_the_line_where_it_begins(tmp_path: Path) -> None:
    data = b'sep=,\n\ntitle,body\nA,"one\ntwo\n\nfive"\n\nB,x\nC,"y\r\nz"\nD,\n'
    assert [row for row, _ in outcomes(CsvSource(), data, tmp_path)] == [4, 9, 10, 12]


def test_columns_that_are_no_field_go_to_metadata_and_none_is_lost(tmp_path: Path) -> None:
    own = '"{""mood"": 1.50, ""big"": 123456789012345678901}"'
    text = f"title,mood,mood,,id,metadata\nA,calm,wild,odd,7,{own}\n"
    ((_, card),) = outcomes(CsvSource(), text.encode(), tmp_path)
    assert isinstance(card, CardIn)
    assert bytes(card.metadata) == (  # type: ignore[arg-type]
        b'{"mood": 1.50, "big": 123456789012345678901, '
        b'"mood (2)": "calm", "mood (2) (2)": "wild", "column 4": "odd", "id": "7"}'
    )


def test_what_the_server_assigns_is_left_out_of_our_own_exports_only(tmp_path: Path) -> None:
    own = "id,title,body,is_published,published_url\nx,A,b,false,\n"
    assert "metadata" not in read(own, tmp_path)[0]
    assert read("id,title,published_at\n7,A,1999\n", tmp_path)[0]["metadata"] == {
        "id": "7",
        "published_at": "1999",
    }


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("url", "https://example.org/a", {"source_url": "https://example.org/a"}),
        ("url", "see the book", {"metadata": {"url": "see the book"}}),
        ("link", "[[Home]]", {"metadata": {"link": "[[Home]]"}}),
        ("created", "2024-02-29", {"created_at": datetime(2024, 2, 29, tzinfo=UTC)}),
        ("Created At", "January 5, 2024 3:04 PM", {"created_at": datetime(2024, 1, 5, 15, 4, tzinfo=UTC)}),
        ("created", "2024-02-29 10:00:00+02:00", {"created_at": datetime(2024, 2, 29, 8, tzinfo=UTC)}),
        ("created", "some day", {"metadata": {"created": "some day"}}),
        ("tag", "a, b; c", {"tags": ["a", "b", "c"]}),
        ("tags", '["a, b", "c"]', {"tags": ["a, b", "c"]}),
        ("tags", "[not json", {"tags": ["[not json"]}),
        ("privacy", "Ideas", {"privacy_level": "IDEAS"}),
    ],
)
def test_other_names_for_a_field_hold_what_fits_it(
    column: str, value: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    cell = '"' + value.replace('"', '""') + '"'
    (card,) = read(f"title,{column}\nA,{cell}\n", tmp_path)
    plain = {"title": "A", "body": "", "category": "IMPORTED", "privacy_level": "PRIVATE"}
    assert card == plain | expected


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("A,b,PRIVATE,{},x", "unreadable_row"),
        ("A,b,SECRET,{}", "invalid_value"),
        ("A,b,PRIVATE,[1]", "invalid_value"),
        ("A,b,PRIVATE,{", "invalid_value"),
        ('A,b,PRIVATE,"{""a"":1,""a"":2}"', "invalid_value"),
        ("A,b,PRIVATE,NaN", "invalid_value"),
        (",,PRIVATE,{}", "too_short"),
        ("A,\0,PRIVATE,{}", "unstorable"),
    ],
)
def test_a_bad_row_fails_alone(row: str, code: str, tmp_path: Path) -> None:
    data = f"title,body,privacy_level,metadata\nok,b,PRIVATE,{{}}\n{row}\nok,b,PRIVATE,\n".encode()
    found = [card for _, card in outcomes(CsvSource(), data, tmp_path)]
    assert [isinstance(card, CardIn) for card in found] == [True, False, True]
    assert not isinstance(found[1], CardIn)
    assert found[1].code == code


def test_defaults_are_the_callers_where_the_row_says_nothing(tmp_path: Path) -> None:
    options = {"default_category": "Mine", "default_privacy_level": "IDEAS"}
    first, second = read("body,category\n# A head,\nx,Own\n", tmp_path, options=options)
    assert (first["title"], first["category"], first["privacy_level"]) == ("A head", "Mine", "IDEAS")
    assert second["category"] == "Own"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"name,text of it\na,b\n", "no column named title or body"),
        (b"title\n\xff\n", "not UTF-8"),
        (b"\xff\xfet", "not UTF-16"),
        (b'title,body\nA,"never closed\n', "line 2"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_with_its_line(
    data: bytes, says: str, tmp_path: Path
) -> None:
    with pytest.raises(MalformedBody, match=says):
        outcomes(CsvSource(), data, tmp_path, limits=Limits(max_record_bytes=1_000))


def test_a_line_beyond_the_cap_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(PayloadTooLarge, match="Line 2 is too long"):
        outcomes(CsvSource(), b"title\n" + b"x" * 5_000, tmp_path, limits=Limits(max_record_bytes=1_000))


def test_the_columns_of_a_file_of_failed_rows_are_left_out_and_too_many_cells_stay_too_many(
    tmp_path: Path,
) -> None:
    head = "title,_index,body,_row,_field,_code,_message\n"
    assert texts(head + "A,0,b,2,,c,m\n", tmp_path) == [("A", "b")]
    ((_, problem),) = outcomes(CsvSource(), (head + "A,0,b,2,,c,m,x\n").encode(), tmp_path)
    assert isinstance(problem, ItemProblem)
    assert problem.message == "has 3 cells, the header has 2"
