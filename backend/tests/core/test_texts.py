"""Texts that lie one behind another are found again, whatever is cut out of what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.texts import Texts

SOME = st.lists(st.binary(max_size=20), max_size=20)


@given(SOME, st.data())
def test_a_range_of_them_is_a_range_of_bytes(texts: list[bytes], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts)))
    end = data.draw(st.integers(start, len(texts)))
    whole = Texts.of(texts)
    part = whole.cut(start, end)
    assert (len(whole), whole.split()) == (len(texts), texts)
    assert (len(part), part.split()) == (end - start, texts[start:end])
    assert part.block() == b",".join(texts[start:end])
    assert [part.text(index) for index in range(len(part))] == texts[start:end]
    assert bool(part) is bool(texts[start:end])


@pytest.mark.parametrize("gap", [b",", b", ", b" ,\n "])
def test_what_lies_between_them_is_not_theirs(gap: bytes) -> None:
    texts = [b"[1]", b"", b"{}", b'"a, b"']
    found = Texts(gap.join(texts), list(map(len, texts)), len(gap))
    assert found == Texts.of(texts)
    assert found != Texts.of(texts[:3])
    assert found.cut(1, 4) == Texts.of(texts[1:])
    assert found.cut(1, 4).cut(1, 2).split() == [b"{}"]
    assert found != texts
