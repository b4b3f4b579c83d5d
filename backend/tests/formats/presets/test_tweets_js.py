"""Reading a file of tweets element by element."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import MalformedBody
from backend.formats.presets.tweets_js import elements

LONGEST = 1_000_000
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=9), children, max_size=4)
    ),
    max_leaves=12,
)
_objects = st.lists(st.dictionaries(st.text(max_size=9), _json, max_size=5), max_size=8)


def read(data: bytes) -> list[object]:
    return [json.loads(raw) for raw in elements(io.BytesIO(data), LONGEST)]


@given(
    _objects,
    st.sampled_from([None, 0, 2]),
    st.sampled_from(["window.YTD.tweets.part0 = ", "window.YTD.tweet.part12=", "", "\ufeff"]),
)
def test_the_elements_of_any_list_come_back_in_order(
    items: list[object], indent: int | None, prefix: str
) -> None:
    assert read((prefix + json.dumps(items, indent=indent, ensure_ascii=False) + "\n").encode()) == items


@given(_objects)
def test_one_object_per_line_is_read_too(items: list[object]) -> None:
    assert read("\n".join(json.dumps(item) for item in items).encode()) == items


def test_the_file_of_failed_records_is_read_too() -> None:
    assert read(b'{"errors": [{"index": 1, "card": {"tweet": {}}}]}') == [{"index": 1, "card": {"tweet": {}}}]


def test_each_element_is_given_as_it_stands_in_the_file() -> None:
    raw = '{"tweet" : {\n  "id" : "1", "full_text":"\\ud83d\\ude80 é 🚀" } }'
    assert list(elements(io.BytesIO(f"window.YTD.tweets.part0 = [ {raw} ];\n".encode()), LONGEST)) == [
        raw.encode()
    ]


@pytest.mark.parametrize("size", [60_000, 65_530, 65_536, 65_540, 200_000])
def test_an_element_may_cross_the_windows_border(size: int) -> None:
    items = [{"a": "é" * size}, {"b": [1, 2]}, {"c": "x" * size}]
    assert read(json.dumps(items, ensure_ascii=False).encode()) == items


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello", "begins neither"),
        (b"window.YTD.tweets.part0 = {", "line 1"),
        (b'[{"a":1}\n{"a":2}]', "comma"),
        (b'[{"a":1},\n\n{"a":}]', "line 3"),
        (b'[{"a":1}', "comma or the end"),
        (b'[{"a":NaN}]', "NaN"),
        (b'[{"a":1}] [1]', "after the end"),
        (b'[{"a":"\xff"}]', "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b'[{"a":' + b"1" * 5_000 + b"}]", "number"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(data: bytes, says: str) -> None:
    with pytest.raises(MalformedBody, match=says):
        read(data)


def test_an_element_beyond_the_cap_is_refused() -> None:
    with pytest.raises(MalformedBody):
        list(elements(io.BytesIO(b'[{"a":"' + b"x" * 3_000_000 + b'"}]'), LONGEST))


def test_an_empty_file_has_no_elements() -> None:
    assert read(b"") == read(b"window.YTD.tweets.part0 = [ ]") == []


class _Endless(io.RawIOBase):
    """A file of many tweets that never stands in memory."""

    def __init__(self, count: int) -> None:
        self._pieces = iter(
            [
                b"window.YTD.tweets.part0 = [",
                *([b'{"tweet":{"full_text":"' + b"x" * 500 + b'"}},'] * count),
                b"{}]",
            ]
        )

    def read(self, size: int = -1) -> bytes:
        return b"".join(next(self._pieces, b"") for _ in range(100))


def test_memory_stays_flat() -> None:
    tracemalloc.start()
    count = sum(1 for _ in elements(_Endless(40_000), LONGEST))  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40_001
    assert peak < 4_000_000  # 40,000 small tuples of the test itself, and a window of 64 KiB
