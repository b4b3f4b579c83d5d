"""Users and keys in PostgreSQL."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from backend.auth import lookup, store
from backend.auth.rotation import rotate
from backend.auth.scopes import DEFAULT, SCOPES
from backend.core.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated
from backend.core.settings import get_settings
from backend.db.session import unit_of_work


@pytest.fixture(autouse=True)
def nothing_remembered(database):
    lookup.forget()
    yield
    lookup.forget()


def row(database: str, key_id: uuid.UUID) -> dict:
    with psycopg.connect(database, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("SELECT * FROM api_keys WHERE id = %s", (key_id,)).fetchone()


def test_a_user_is_made_once_however_often_and_by_how_many_it_is_asked(database):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(store.create_user, ["ada"] * 32))
    assert len(made) == 1
    assert store.find_user("ada") in made
    assert store.create_user("grace") not in made


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb", "a\x00b", "\ud800", "a\x1b[31m", "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_refused(owner, name):
    with pytest.raises(InvalidRequest):
        store.create_user(name)
    with pytest.raises(InvalidRequest):
        store.create_key(owner, name)


def test_the_database_keeps_no_secret(database, owner):
    made = store.create_key(owner, "laptop")
    kept = row(database, made.id)
    assert made.key not in str(kept)
    assert made.key[15:-4] not in str(kept)
    assert bytes(kept["key_hash"]) == store.hash_of(made.key)
    assert kept["prefix"] == made.key[:15]
    assert kept["last_four"] == made.key[-4:]
    assert made.key not in repr(made)


def test_a_key_can_by_default_do_all_but_administer(owner):
    made = store.create_key(owner, "k")
    assert set(made.info.scopes) == DEFAULT == set(SCOPES) - {"admin"}
    assert lookup.authenticate(made.key).scopes == DEFAULT


@pytest.mark.parametrize("scopes", [[], ["cards:everything"], ["cards:read", ""]])
def test_scopes_that_are_none_or_unknown_are_refused(owner, scopes):
    with pytest.raises(InvalidRequest):
        store.create_key(owner, "k", scopes)


@pytest.mark.parametrize(
    "limits", [{"requests": 1}, {"requests_per_minute": 0}, {"cards_per_hour": True}, {"cards_per_hour": 1.5}]
)
def test_limits_that_mean_nothing_are_refused(owner, limits):
    with pytest.raises(InvalidRequest):
        store.create_key(owner, "k", limits=limits)


def test_an_expiry_must_lie_ahead_and_say_its_offset(owner):
    with pytest.raises(InvalidRequest):
        store.create_key(owner, "k", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(InvalidRequest):
        store.create_key(owner, "k", expires_at=datetime(2099, 1, 1))  # noqa: DTZ001


def test_an_owner_has_at_most_so_many_active_keys_also_in_parallel(owner, monkeypatch):
    monkeypatch.setenv("MAX_KEYS_PER_OWNER", "5")
    get_settings.cache_clear()

    def make(number: int) -> store.NewKey | None:
        try:
            return store.create_key(owner, f"k{number}")
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [one for one in pool.map(make, range(20)) if one is not None]
    assert len(made) == 5
    store.revoke(owner, made[0].id)
    assert store.create_key(owner, "again").key
    assert store.create_key(store.create_user("somebody else"), "k").key


def test_keys_are_listed_newest_first_page_by_page_and_only_the_owners(owner):
    other = store.create_user("other")
    store.create_key(other, "theirs")
    made = [store.create_key(owner, f"k{number}").id for number in range(5)]
    with unit_of_work(owner) as connection:
        first = store.list_keys(connection, owner, size=3)
        rest = store.list_keys(connection, owner, size=3, before=first[-1].id)
    assert [key.id for key in first + rest] == made[::-1]


def test_a_revoked_key_is_useless_and_revoking_again_changes_nothing(database, owner):
    made = store.create_key(owner, "k")
    assert lookup.authenticate(made.key).key_id == made.id
    store.revoke(owner, made.id)
    revoked_at = row(database, made.id)["revoked_at"]
    with pytest.raises(Unauthenticated):
        lookup.authenticate(made.key)
    store.revoke(owner, made.id)
    assert row(database, made.id)["revoked_at"] == revoked_at


def test_nobody_revokes_rotates_or_sees_another_owners_key(owner):
    other = store.create_user("other")
    theirs = store.create_key(other, "theirs")
    for key_id in (theirs.id, uuid.uuid4()):
        with pytest.raises(NotFound) as revoking:
            store.revoke(owner, key_id)
        with pytest.raises(NotFound) as rotating, unit_of_work() as connection:
            rotate(connection, owner, key_id, timedelta(0))
        with pytest.raises(NotFound) as getting, unit_of_work() as connection:
            store.get_key(connection, owner, key_id)
        assert revoking.value.detail == rotating.value.detail == getting.value.detail
    assert lookup.authenticate(theirs.key)


def test_rotation_lets_both_keys_work_for_the_overlap(database, owner):
    old = store.create_key(owner, "k", ["cards:read"], limits={"requests_per_minute": 7})
    with unit_of_work(owner) as connection:
        new, _ = rotate(connection, owner, old.id, timedelta(seconds=1))
    assert (new.info.name, new.info.scopes, new.info.limits) == (
        "k",
        ("cards:read",),
        {"requests_per_minute": 7},
    )
    assert row(database, old.id)["rotated_to"] == new.id
    lookup.forget()
    assert lookup.authenticate(old.key).user_id == lookup.authenticate(new.key).user_id == owner
    with psycopg.connect(database) as connection:
        connection.execute("SELECT pg_sleep(1.05)")
    with pytest.raises(Unauthenticated):
        lookup.authenticate(old.key)
    assert lookup.authenticate(new.key)


def test_a_rotated_key_lives_as_long_as_the_old_one_was_made_to(owner):
    old = store.create_key(owner, "k", expires_at=datetime.now(UTC) + timedelta(days=30))
    with unit_of_work(owner) as connection:
        new, _ = rotate(connection, owner, old.id, timedelta(days=365))
        after = store.get_key(connection, owner, old.id)
    assert abs(new.info.expires_at - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    assert after.expires_at == old.info.expires_at  # an overlap never lengthens a life


def test_a_key_is_rotated_once_and_only_while_it_works(owner):
    old = store.create_key(owner, "k")
    with unit_of_work(owner) as connection:
        rotate(connection, owner, old.id, timedelta(hours=1))
    with pytest.raises(Conflict), unit_of_work(owner) as connection:
        rotate(connection, owner, old.id, timedelta(hours=1))
    gone = store.create_key(owner, "g")
    store.revoke(owner, gone.id)
    with pytest.raises(Conflict), unit_of_work(owner) as connection:
        rotate(connection, owner, gone.id, timedelta(hours=1))


def test_of_parallel_rotations_one_succeeds(owner):
    old = store.create_key(owner, "k")

    def once(_: int) -> bool:
        try:
            with unit_of_work(owner) as connection:
                rotate(connection, owner, old.id, timedelta(hours=1))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(once, range(8))) == 1


def test_a_weaker_key_cannot_rotate_a_stronger_one(owner):
    strong = store.create_key(owner, "k", SCOPES)
    with pytest.raises(Forbidden, match="admin"), unit_of_work(owner) as connection:
        rotate(connection, owner, strong.id, timedelta(0), held=DEFAULT)


def test_the_secret_of_a_key_made_with_a_seed_can_be_derived_again(owner):
    made = store.create_key(owner, "k", seed=b"s" * 32)
    assert store.secret_of(b"s" * 32) == made.key
    assert lookup.authenticate(made.key).key_id == made.id


def test_keys_that_ended_long_ago_are_removed_and_no_others(database, owner):
    names = ("works", "ends later", "ended lately", "ended long ago", "revoked lately", "revoked long ago")
    made = {name: store.create_key(owner, name).id for name in names}
    with unit_of_work() as connection:
        for name, column, days in (
            ("ends later", "expires_at", 1), ("ended lately", "expires_at", -1),
            ("ended long ago", "expires_at", -9),
            ("revoked lately", "revoked_at", -1), ("revoked long ago", "revoked_at", -9),
        ):  # fmt: skip
            query = text(
                f"UPDATE api_keys SET {column} = now() + make_interval(days => :days) WHERE id = :id"
            )
            connection.execute(query, {"days": days, "id": made[name]})
        assert store.purge(connection, 7 * 86_400) == 2
    with unit_of_work(owner) as connection:
        left = {key.name for key in store.list_keys(connection, owner)}
    assert left == {"works", "ends later", "ended lately", "revoked lately"}
