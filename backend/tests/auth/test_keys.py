"""API keys as text."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.auth import keys

PEPPER = b"a pepper"
BASE62 = string.digits + string.ascii_letters


def test_a_key_has_the_documented_form():
    key = keys.make(PEPPER)
    assert re.fullmatch(r"extro_live_[0-9A-Za-z]{38}", key)
    assert len(key) == keys.LENGTH
    assert keys.is_well_formed(key, PEPPER)


def test_no_two_keys_are_alike():
    assert len({keys.make(PEPPER) for _ in range(1000)}) == 1000


def test_the_same_seed_and_pepper_give_the_same_key_and_no_others_do():
    seed = bytes(range(32))
    assert keys.make(PEPPER, seed) == keys.make(PEPPER, seed)
    assert keys.make(PEPPER, seed) != keys.make(PEPPER, seed[::-1])
    assert keys.make(PEPPER, seed) != keys.make(b"another", seed)
    assert keys.is_well_formed(keys.make(PEPPER, seed), PEPPER)


@pytest.mark.parametrize("position", range(len(keys.PREFIX), keys.LENGTH))
def test_one_wrong_character_anywhere_is_noticed(position):
    key = keys.make(PEPPER, b"s" * 32)
    for character in BASE62:
        forged = key[:position] + character + key[position + 1 :]
        assert keys.is_well_formed(forged, PEPPER) == (forged == key)


def test_a_key_of_another_installation_is_noticed():
    assert not keys.is_well_formed(keys.make(b"theirs"), PEPPER)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key.upper(),
        lambda key: key.replace("extro_live_", "extro_test_"),
        lambda key: key[:-1] + "é",
        lambda key: key[:-1] + "٣",  # a digit, but not one of ours
        lambda key: key[:-1] + "\n",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: "\x00" * len(key),
        lambda key: key * 10_000,
    ],
)
def test_what_has_another_form_is_no_key(change):
    assert not keys.is_well_formed(change(keys.make(PEPPER)), PEPPER)


@given(st.text(max_size=80))
def test_no_text_makes_the_check_fail_otherwise_than_by_saying_no(text):
    assert keys.is_well_formed(text, PEPPER) is False
    assert keys.is_well_formed(keys.PREFIX + text, PEPPER) is False


def test_the_hash_depends_on_the_whole_key_and_on_the_pepper():
    key = keys.make(PEPPER)
    assert len(keys.hash_of(key, PEPPER)) == 32
    assert keys.hash_of(key, PEPPER) != keys.hash_of(key, b"another")
    assert keys.hash_of(key, PEPPER) != keys.hash_of(key[:-1], PEPPER)


def test_what_lists_show_gives_little_away():
    key = keys.make(PEPPER)
    assert keys.prefix_of(key) == key[:15]
    assert keys.last_four_of(key) == key[-4:]
