"""Cards of a COPY have an owner who exists and stays: looked up once, and else as a foreign key does it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, text

from backend.cards import store
from backend.cards.reading import read_card
from backend.cards.schema import CardIn
from backend.core.ids import new_operation_id
from backend.db.session import unit_of_work
from backend.tests.support.engine import Engine, card

RAW = b'{"title":"t","body":"b","category":"c","privacy_level":"PRIVATE"}'
SETTING = text("SELECT current_setting('session_replication_role')")
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
ONE = text(
    "INSERT INTO cards (id, user_id, fingerprint, title, body, category, privacy_level) "
    "VALUES (gen_random_uuid(), :owner, gen_random_uuid(), 't', 'b', 'c', 'PRIVATE')"
)


def copy(connection: Connection, owner: UUID, count: int = 3, statements: int = 3, title: str = "t") -> None:
    """Cards of the owner through COPY, in so many statements."""
    found = read_card(RAW)
    assert isinstance(found, CardIn)
    found.title = title
    builder = store.RowBuilder(owner, new_operation_id(), frozenset(), "https://x", datetime.now(UTC))
    rows = [builder.row(index, found) for index in range(count)]
    size = -(-count // statements)
    batches = [store.CopyData.of(rows[start : start + size]) for start in range(0, count, size)]
    store.insert(connection, owner, batches, len(batches))


def users_read(connection: Connection) -> int:
    """Rows of ``users`` that this connection has read: of earlier transactions some may not be told yet."""
    query = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'users'"
    return int(connection.execute(text(query)).scalar_one())


def count(url: str, owner: UUID) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM cards WHERE user_id = %s", (owner,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("cards", [10, 1_000])
def test_the_owner_is_looked_up_once_however_many_cards_there_are(owner, cards):
    with unit_of_work() as connection:
        before = users_read(connection)
        copy(connection, owner, cards)
        assert users_read(connection) - before <= 2


def test_after_it_every_row_is_looked_at_again(database, owner):
    with unit_of_work() as connection:
        copy(connection, owner)
        assert connection.execute(SETTING).scalar_one() == "origin"
        with pytest.raises(Exception, match="fk_cards_user_id"), connection.begin_nested():
            connection.execute(ONE, {"owner": uuid.uuid4()})
    assert count(database, owner) == 3


def test_cards_of_nobody_are_refused(database, owner):
    nobody = uuid.uuid4()
    with pytest.raises(psycopg.errors.ForeignKeyViolation), unit_of_work() as connection:
        copy(connection, nobody)
    assert count(database, nobody) == 0


def test_a_refused_copy_takes_the_setting_back_with_its_savepoint(database, owner):
    with unit_of_work() as connection:
        savepoint = connection.begin_nested()
        with pytest.raises(psycopg.errors.CheckViolation):
            copy(connection, owner, title="x" * 1_001)
        savepoint.rollback()
        assert connection.execute(SETTING).scalar_one() == "origin"
        copy(connection, owner)
    assert count(database, owner) == 3


@pytest.mark.parametrize("first", ["cards", "delete"])
def test_of_cards_and_their_owners_deletion_at_once_no_card_is_left_alone(database, owner, first):
    """Whoever comes second waits for the first one's commit, and then sees it."""
    ended: list[str] = []

    def insert(connection: Connection) -> None:
        copy(connection, owner, 100)

    def delete(connection: Connection) -> None:
        connection.execute(text("DELETE FROM users WHERE id = :owner"), {"owner": owner})

    steps = {"cards": insert, "delete": delete}
    (second,) = steps.keys() - {first}

    def run() -> None:
        try:
            with unit_of_work() as other:
                steps[second](other)
            ended.append("committed")
        except psycopg.errors.ForeignKeyViolation:
            ended.append("refused")

    with psycopg.connect(database, autocommit=True) as looking, unit_of_work() as holding:
        steps[first](holding)
        thread = threading.Thread(target=run)
        thread.start()
        while looking.execute(WAITING).fetchone() == (0,):
            assert thread.is_alive()
            time.sleep(0.01)
    thread.join(20)
    assert ended == ["committed" if first == "cards" else "refused"]
    assert count(database, owner) == 0


@pytest.fixture
def noting(database: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    """A trigger of somebody's own on cards, which notes each; a connection that sees the notes."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (card uuid)")
        connection.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO notes VALUES (NEW.id); RETURN NULL; END $$"
        )
        connection.execute("CREATE TRIGGER note AFTER INSERT ON cards FOR EACH ROW EXECUTE FUNCTION note()")
        yield connection


def test_triggers_of_others_are_not_left_out(owner, noting):
    engine = Engine(owner)
    engine.done(engine.imports([card(number) for number in range(40)]))
    assert noting.execute("SELECT count(DISTINCT card) FROM notes").fetchone() == (40,)


def test_further_foreign_keys_are_not_left_out(database, owner):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE categories (name text PRIMARY KEY)")
        connection.execute("ALTER TABLE cards ADD FOREIGN KEY (category) REFERENCES categories")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="category"), unit_of_work() as connection:
        copy(connection, owner)


def test_who_may_not_leave_them_out_imports_as_well(database, owner):
    """As on servers where the application is no superuser."""
    role = sql.Identifier(f"plain_{uuid.uuid4().hex}")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN BYPASSRLS").format(role))
        try:
            admin.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(role))
            with unit_of_work() as connection:
                connection.exec_driver_sql(f"SET LOCAL ROLE {role.as_string()}")
                before = users_read(connection)
                copy(connection, owner, 50)
                assert users_read(connection) - before >= 50
                with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.begin_nested():
                    copy(connection, uuid.uuid4())
            admin.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(role))
            with unit_of_work() as connection:
                connection.exec_driver_sql(f"SET LOCAL ROLE {role.as_string()}")
                before = users_read(connection)
                copy(connection, owner, 50)
                assert users_read(connection) - before <= 2
        finally:
            admin.execute(sql.SQL("DROP OWNED BY {}").format(role))
            admin.execute(sql.SQL("DROP ROLE {}").format(role))
    assert count(database, owner) == 100
