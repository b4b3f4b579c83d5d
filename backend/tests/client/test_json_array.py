"""JSON arrays to lines: the same elements, whatever the text and wherever the chunks end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.client.json_array import NotAnArray, to_lines

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(values), st.sampled_from([None, 1, "\t"]), st.integers(1, 7))
def test_every_element_arrives_as_it_was(elements, indent, size):
    text = json.dumps(elements, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    lines = b"".join(to_lines(chunks)).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line.decode("utf-8", "surrogatepass")) for line in lines] == elements


@pytest.mark.parametrize(
    "text",
    [b"", b"  ", b"{}", b"[", b"[1", b"[1,", b'["', b"[1]]", b"[1] x", b"[,1]", b"[1,,2]", b"[1,]", b"[}"],
)
def test_what_is_not_one_whole_array_is_refused(text):
    with pytest.raises(NotAnArray):
        list(to_lines([text]))


@pytest.mark.parametrize("text", [b"[]", b" [ \n ] \n"])
def test_an_empty_array_has_no_lines(text):
    assert list(to_lines([text])) == []
