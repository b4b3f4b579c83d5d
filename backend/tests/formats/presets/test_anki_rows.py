"""Reading the notes of an Anki export."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.presets.anki_rows import AnkiRows

LONGEST = 1_000_000


def read(text: str | bytes, longest: int = LONGEST) -> list[tuple[list[str], int]]:
    data = text.encode() if isinstance(text, str) else text
    return list(AnkiRows(io.BytesIO(data), longest))


def test_notes_come_with_the_line_where_they_begin() -> None:
    text = '#separator:tab\n#html:true\na\t"two\n# lines"\n\n# comment\nb\tc\n'
    assert read(text) == [(["a", "two\n# lines"], 3), (["b", "c"], 7)]


def test_a_quoted_hash_is_no_comment() -> None:
    assert read('"#a"\tb\n#c\td\ne\tf') == [(["#a", "b"], 1), (["e", "f"], 3)]


def test_a_mark_at_the_start_and_windows_line_ends_are_taken_away() -> None:
    assert read("\ufeff#separator:Comma\r\na,b\r\n") == [(["a", "b"], 2)]


def test_a_quote_that_never_closes_is_refused_at_the_end() -> None:
    with pytest.raises(MalformedBody, match="line 2"):
        read('x\ty\na\t"' + "x\n" * 1_000)


def test_a_quote_that_never_closes_is_refused_by_the_cap_before_that() -> None:
    with pytest.raises(MalformedBody, match="line 1"):
        read('a\t"' + "x\n" * 2_000_000)


def test_a_line_beyond_the_cap_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="too long"):
        read("a\tb\n" + "x" * 1_001, longest=1_000)


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedBody, match="UTF-8"):
        read(b"a\tb\n\xe9\tc\n")


_cell = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(_cell, min_size=2, max_size=4), max_size=6))
def test_any_fields_come_back_as_they_were_written(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    expected = [row for row in rows if any(cell.strip() for cell in row)]
    assert [row for row, _ in read("#separator:tab\n" + out.getvalue())] == expected


class _Endless(io.RawIOBase):
    """A long export that never stands in memory."""

    def __init__(self, count: int) -> None:
        self._left = count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._left:
            return 0
        self._left -= 1
        line = b"front " + b"x" * 200 + b"\tback\n"
        memoryview(buffer)[: len(line)] = line  # type: ignore[arg-type]
        return len(line)


def test_memory_stays_flat() -> None:
    tracemalloc.start()
    count = sum(1 for _ in AnkiRows(io.BufferedReader(_Endless(50_000)), LONGEST))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_000
    assert peak < 1_000_000
