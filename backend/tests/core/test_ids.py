"""Ids: a card's says which operation made it, and where in the request it stood."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core import ids

OPERATIONS = st.uuids(version=4).map(lambda one: UUID(int=one.int | ids.INDEX_MASK))
INDEXES = st.integers(0, ids.MAX_INDEX)


@given(OPERATIONS, INDEXES)
def test_a_card_id_gives_back_its_operation_and_its_index(operation, index):
    card = ids.card_id(operation, index)
    assert ids.operation_of(card) == operation
    assert ids.index_of(card) == index
    assert card != operation


@given(OPERATIONS, INDEXES, INDEXES)
def test_cards_sort_as_they_were_sent(operation, one, other):
    assert (ids.card_id(operation, one) < ids.card_id(operation, other)) == (one < other)


@given(OPERATIONS, st.integers(0, 1_000_000), st.integers(1, 2_000))
def test_a_range_holds_its_cards_and_no_others(operation, first, count):
    low, high = ids.card_range(operation, first, count)
    assert (ids.index_of(low), ids.index_of(high)) == (first, first + count - 1)
    assert high.int - low.int == count - 1


@pytest.mark.parametrize("index", [-1, ids.MAX_INDEX + 1, 2**24])
def test_an_index_that_does_not_fit_is_refused(index):
    with pytest.raises(ValueError, match="outside"):
        ids.card_id(ids.new_operation_id(), index)


def test_new_ids_are_uuid7_in_the_order_of_time_and_never_the_same():
    made = [ids.new_operation_id() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert made == sorted(made)
    assert {one.version for one in made} == {7}
    assert abs((made[0].int >> 80) - time.time() * 1000) < 60_000
    assert {ids.index_of(one) for one in made} == {ids.INDEX_MASK}


@given(OPERATIONS, OPERATIONS, INDEXES, INDEXES)
def test_short_ids_are_safe_in_an_address_and_differ_where_cards_do(one, other, first, second):
    short = ids.short_card(one, first)
    assert short.isalnum()
    assert short.isascii()
    assert len(short) == len(ids.short_card(other, second)) == 19
    same = (one.int >> 24) % 2**72 == (other.int >> 24) % 2**72 and first == second
    assert (short == ids.short_card(other, second)) == same
