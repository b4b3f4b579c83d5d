"""Awards belong to users who exist, and users with awards stay: held by triggers, once per statement."""

from __future__ import annotations

import threading
import time
import uuid

import psycopg
import pytest

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
AWARD = (
    "INSERT INTO extropy_ledger (user_id, card_id, operation_id, amount, reason) "
    "SELECT user_id, gen_random_uuid(), gen_random_uuid(), 1, 'card_published' "
    "FROM unnest(%s::uuid[]) AS u(user_id)"
)


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def user(connection) -> uuid.UUID:
    made = uuid.uuid4()
    connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (made, str(made)))
    return made


def test_an_award_of_nobody_is_refused_with_every_other_of_its_statement(connection):
    somebody = user(connection)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(AWARD, ([somebody, uuid.uuid4()],))
    assert connection.execute("SELECT count(*) FROM extropy_ledger").fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM users WHERE id = %s", "UPDATE users SET id = gen_random_uuid() WHERE id = %s"],
)
def test_a_user_with_awards_stays_and_one_without_may_go(connection, statement):
    rich, poor = user(connection), user(connection)
    connection.execute(AWARD, ([rich],))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(statement, (rich,))
    assert connection.execute(statement, (poor,)).rowcount == 1


def test_users_are_never_all_removed_at_once(connection):
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("TRUNCATE users CASCADE")


@pytest.mark.parametrize("first", ["award", "delete"])
def test_of_an_award_and_a_deletion_at_once_only_the_first_happens(connection, database, first):
    """The second waits for the first one's commit, and then sees it."""
    somebody = user(connection)
    statements = {"award": (AWARD, ([somebody],)), "delete": ("DELETE FROM users WHERE id = %s", (somebody,))}
    (second,) = statements.keys() - {first}
    refused = []

    def run() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            try:
                other.execute(*statements[second])
            except psycopg.errors.ForeignKeyViolation:
                refused.append(second)

    with psycopg.connect(database) as holding:
        holding.execute(*statements[first])
        thread = threading.Thread(target=run)
        thread.start()
        while connection.execute(WAITING).fetchone() == (0,):
            assert thread.is_alive()
            time.sleep(0.01)
        holding.commit()
    thread.join(20)
    assert refused == [second]
    awards = connection.execute("SELECT count(*) FROM extropy_ledger").fetchone()
    assert awards == (1 if first == "award" else 0,)


def test_other_users_are_not_read(connection):
    """However many there are: a part's awards ask for their own user, not through all of them."""
    somebody = user(connection)
    connection.execute(
        "INSERT INTO users (id, name) SELECT id, id::text FROM "
        "(SELECT gen_random_uuid() AS id FROM generate_series(1, 3000)) AS many"
    )
    with connection.transaction():
        connection.execute(AWARD, ([somebody] * 100,))
        read = connection.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'users'"
        ).fetchone()
    assert read is not None
    assert read[0] <= 3
