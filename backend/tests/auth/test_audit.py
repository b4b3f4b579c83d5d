"""The audit log's writer and reader. That it only grows is tested with the migration."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from backend.auth import audit, lookup, store
from backend.db.session import unit_of_work


@pytest.fixture
def who(owner):
    return lookup.authenticate(store.create_key(owner, "k").key)


def test_a_line_says_who_when_from_where_and_what(who):
    target = uuid.uuid4()
    with unit_of_work(who.user_id) as connection:
        audit.record(connection, who, "cards.delete", target, "203.0.113.7", {"ids": 3}, request_id="r-1")
    with unit_of_work() as connection:
        [line] = audit.page(connection)
    assert abs(datetime.now(UTC) - line.at) < timedelta(seconds=10)
    assert (line.user_id, line.api_key_id) == (who.user_id, who.key_id)
    assert (line.action, line.target, line.client_ip) == ("cards.delete", str(target), "203.0.113.7")
    assert (line.detail, line.request_id) == ({"ids": 3}, "r-1")


def test_an_operator_without_a_key_can_be_recorded(database):
    with unit_of_work() as connection:
        audit.record(connection, None, "key.revoke", "x")
        [line] = audit.page(connection)
    assert (line.user_id, line.api_key_id) == (None, None)


def test_a_line_exists_only_with_what_it_reports(who):
    def export_and_fail() -> None:
        with unit_of_work(who.user_id) as connection:
            audit.record(connection, who, "cards.export")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        export_and_fail()
    with unit_of_work() as connection:
        assert audit.page(connection) == []


def test_an_action_that_nobody_knows_is_a_mistake(who):
    with pytest.raises(ValueError, match="unknown"), unit_of_work() as connection:
        audit.record(connection, who, "cards.frobnicate")


def test_pages_follow_each_other_and_filters_narrow_them(who):
    other = lookup.authenticate(store.create_key(store.create_user("other"), "k").key)
    with unit_of_work() as connection:
        for number in range(5):
            audit.record(connection, who, "cards.export", str(number))
        audit.record(connection, other, "cards.restore")
    with unit_of_work() as connection:
        first = audit.page(connection, size=4)
        rest = audit.page(connection, size=4, before=first[-1].id)
        assert [one.target for one in first + rest] == [None, "4", "3", "2", "1", "0"]
        assert len(audit.page(connection, user_id=other.user_id)) == 1
        assert len(audit.page(connection, action="cards.export")) == 5
        assert audit.page(connection, since=datetime.now(UTC) + timedelta(hours=1)) == []
