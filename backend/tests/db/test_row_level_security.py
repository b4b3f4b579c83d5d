"""The second wall: what a forgotten ``WHERE user_id`` shows, as the role that the application uses.

Each test runs twice: connected as a superuser (the embedded server) and as a normal user who owns the
database (a server of one's own).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import exc, text

from backend.core.ids import card_id, new_operation_id
from backend.core.settings import get_settings
from backend.db import migrate, session, tenants
from backend.db.session import unit_of_work
from backend.tests.conftest import on_database

OWNED_BY_USER = (
    "api_keys", "cards", "card_tombstones", "extropy_ledger", "idempotency_keys", "operations", "owner_turns",
)  # fmt: skip
OWNED_BY_OPERATION = ("operation_item_errors", "operation_part_attempts", "operation_parts")


@pytest.fixture
def point_at(monkeypatch):
    """Points this process at another database."""

    def point(url: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        session.dispose()
        get_settings.cache_clear()

    yield point
    session.dispose()
    get_settings.cache_clear()


@pytest.fixture
def normal_user(postgres_url: str) -> Iterator[tuple[str, str]]:
    """A user without superuser who may make roles, and the URL of a database that he owns."""
    name = f"app_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'pass'")
        # Another test's migration made the cluster's role: give what having made it oneself would have given.
        if admin.execute("SELECT to_regrole('extrophi_tenant')").fetchone()[0]:
            admin.execute(f"GRANT extrophi_tenant TO {name} WITH ADMIN OPTION")
        admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    yield name, as_user(on_database(postgres_url, name), name)
    session.dispose()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def as_user(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{name}:pass@{rest.rpartition('@')[2]}"


@pytest.fixture(params=["superuser", "owner of the database"])
def walled(request, database, point_at):
    """A migrated database, connected to as the application would be."""
    if request.param == "superuser":
        return database
    _, url = request.getfixturevalue("normal_user")
    point_at(url)
    migrate.upgrade()
    return url


def two_owners() -> tuple[uuid.UUID, uuid.UUID]:
    """Two users with one row in every table each."""
    owners = []
    for _ in range(2):
        owner, operation = uuid.uuid4(), new_operation_id()
        values = {"owner": owner, "operation": operation, "card": card_id(operation, 0), "name": f"u-{owner}"}
        values["hash"] = owner.bytes * 2
        with unit_of_work() as connection:
            for statement in (
                "INSERT INTO users (id, name) VALUES (:owner, :name)",
                "INSERT INTO api_keys (id, user_id, name, prefix, last_four, key_hash) "
                "VALUES (gen_random_uuid(), :owner, 'k', 'p', 'l', :hash)",
                "INSERT INTO cards (id, user_id, fingerprint, title, body, category, privacy_level) "
                "VALUES (:card, :owner, :card, 't', 'b', 'c', 'PRIVATE')",
                "INSERT INTO card_tombstones (user_id, card_id) VALUES (:owner, :card)",
                "INSERT INTO operations (id, user_id, kind, max_parallel, total_items, part_count) "
                "VALUES (:operation, :owner, 'import', 1, 1, 1)",
                "INSERT INTO operation_parts (operation_id, part_no, first_index, item_count) "
                "VALUES (:operation, 0, 0, 1)",
                "INSERT INTO operation_part_attempts (operation_id, part_no, attempts, starts, node) "
                "VALUES (:operation, 0, 1, 1, 'n')",
                "INSERT INTO operation_item_errors (operation_id, item_index, code, message) "
                "VALUES (:operation, 0, 'c', 'm')",
                "INSERT INTO owner_turns (user_id) VALUES (:owner)",
                "INSERT INTO extropy_ledger (user_id, card_id, operation_id, amount, reason) "
                "VALUES (:owner, :card, :operation, 1, 'published')",
                "INSERT INTO idempotency_keys (user_id, key, request_hash, status, response) "
                "VALUES (:owner, 'k', '\\x00', 202, '{}')",
                "INSERT INTO audit_log (user_id, action) VALUES (:owner, 'key.create')",
            ):
                connection.execute(text(statement), values)
        owners.append(owner)
    return owners[0], owners[1]


def count(connection, table: str) -> int:
    return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_every_table_with_an_owner_is_behind_the_wall(walled):
    with unit_of_work() as connection:
        open_tables = (
            connection.execute(
                text(
                    "SELECT relname FROM pg_class WHERE relkind = 'r' "
                    "AND relnamespace = 'public'::regnamespace "
                    "AND NOT relrowsecurity AND relname <> 'alembic_version'"
                )
            )
            .scalars()
            .all()
        )
    assert open_tables == []


def test_a_unit_of_work_for_an_owner_sees_that_owners_rows_only(walled):
    mine, _ = two_owners()
    with unit_of_work(mine) as connection:
        for table in (*OWNED_BY_USER, *OWNED_BY_OPERATION, "users"):
            assert count(connection, table) == 1, table
        for table in OWNED_BY_USER:
            assert connection.execute(text(f"SELECT user_id FROM {table}")).scalar_one() == mine, table
        assert connection.execute(text("SELECT id FROM users")).scalar_one() == mine


def test_the_application_runs_units_of_work_as_the_role_that_owns_nothing(walled):
    with unit_of_work(uuid.uuid4()) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == "extrophi_tenant"
        owned = "SELECT count(*) FROM pg_class WHERE relowner = to_regrole('extrophi_tenant')"
        assert connection.execute(text(owned)).scalar_one() == 0
        super_or_bypass = (
            "SELECT rolsuper OR rolbypassrls OR rolcanlogin FROM pg_roles WHERE rolname = current_user"
        )
        assert connection.execute(text(super_or_bypass)).scalar_one() is False


def test_without_an_owner_all_rows_are_seen_and_nothing_sticks_to_the_connection(walled):
    mine, _ = two_owners()
    for _ in range(3):
        with unit_of_work(mine) as connection:
            assert count(connection, "cards") == 1
        with unit_of_work() as connection:
            assert count(connection, "cards") == 2
            assert connection.execute(text("SELECT current_user <> 'extrophi_tenant'")).scalar_one()
        with pytest.raises(ZeroDivisionError), unit_of_work(mine) as connection:
            raise ZeroDivisionError
        with session.autocommit() as connection:
            assert count(connection, "cards") == 2


def test_nobody_can_change_or_delete_another_owners_rows(walled):
    mine, theirs = two_owners()
    with unit_of_work(mine) as connection:
        changes = connection.execute(
            text("UPDATE cards SET title = 'stolen' WHERE user_id = :o"), {"o": theirs}
        )
        assert changes.rowcount == 0
        assert connection.execute(text("DELETE FROM cards")).rowcount == 1
        assert connection.execute(text("UPDATE operations SET error = 'x'")).rowcount == 1
        assert connection.execute(text("UPDATE users SET extropy_balance = 5")).rowcount == 1
    with unit_of_work() as connection:
        assert connection.execute(text("SELECT user_id, title FROM cards")).all() == [(theirs, "t")]
        balances = dict(connection.execute(text("SELECT id, extropy_balance FROM users")).all())
        assert balances == {mine: 5, theirs: 0}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cards SET user_id = :theirs",
        "INSERT INTO owner_turns (user_id) VALUES (:theirs) ON CONFLICT DO NOTHING",
        "INSERT INTO idempotency_keys (user_id, key, request_hash, status, response) "
        "VALUES (:theirs, 'n', '\\x00', 202, '{}')",
        "INSERT INTO audit_log (user_id, action) VALUES (:theirs, 'key.create')",
        "SELECT count(*) FROM audit_log",
        "DELETE FROM extropy_ledger",
        "DELETE FROM users",
        "UPDATE users SET name = 'x'",
        "TRUNCATE cards CASCADE",
        "SELECT * FROM alembic_version",
        "ALTER TABLE cards DISABLE ROW LEVEL SECURITY",
    ],
)
def test_what_the_wall_does_not_let_through_is_refused(walled, statement):
    mine, theirs = two_owners()
    with pytest.raises(exc.DBAPIError) as caught, unit_of_work(mine) as connection:
        connection.execute(text(statement), {"theirs": theirs} if ":theirs" in statement else {})
    assert caught.value.orig.sqlstate == "42501", caught.value


def test_the_role_without_an_owner_sees_nothing(walled):
    two_owners()
    with unit_of_work() as connection:
        connection.execute(text("SET LOCAL ROLE extrophi_tenant"))
        for table in (*OWNED_BY_USER, *OWNED_BY_OPERATION, "users"):
            assert count(connection, table) == 0, table


def test_own_rows_can_be_written_through_the_wall(walled):
    mine, _ = two_owners()
    with unit_of_work(mine) as connection:
        connection.execute(
            text("INSERT INTO audit_log (user_id, action) VALUES (:o, 'key.revoke')"), {"o": mine}
        )
        connection.execute(text("UPDATE api_keys SET revoked_at = now()"))
        connection.execute(text("UPDATE operation_parts SET error = 'seen'"))
    with unit_of_work() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL")).scalar()
            == 1
        )
        assert (
            connection.execute(text("SELECT count(*) FROM operation_parts WHERE error = 'seen'")).scalar()
            == 1
        )
        assert count(connection, "audit_log") == 3


def test_entering_costs_no_round_trip_of_its_own(database):
    """BEGIN, role and owner are one message; the next statement is the second."""
    mine, _ = two_owners()
    with unit_of_work(mine) as connection:
        low = session.driver(connection)
        assert low.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def test_a_broken_connection_is_replaced_not_kept(database):
    from backend.core.errors import Unavailable

    mine, _ = two_owners()
    with unit_of_work(mine) as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with psycopg.connect(database, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        while killer.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
            pass
    with pytest.raises(Unavailable), unit_of_work(mine):
        pass
    with unit_of_work(mine) as connection:
        assert count(connection, "cards") == 1


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_audit_log_refuses_whatever_is_not_an_addition(walled, statement):
    two_owners()
    with pytest.raises(exc.DBAPIError, match="append-only") as caught, unit_of_work() as connection:
        connection.execute(text(statement))
    assert caught.value.orig.sqlstate == "23001"


def test_many_databases_of_one_cluster_can_migrate_at_once(postgres_url, tmp_path):
    """The role is the cluster's: whoever comes second finds it made, or waits for it."""
    import os
    import subprocess
    import sys

    from backend.embedded.postgres import EmbeddedPostgres
    from backend.embedded.tuning import THROWAWAY

    server = EmbeddedPostgres(tmp_path / "pg", log=tmp_path / "pg.log", extra=THROWAWAY)
    server.start()
    try:
        urls = [server.ensure_database(f"d{number}") for number in range(3)]

        def upgrade(url: str) -> subprocess.CompletedProcess:
            code = "from backend.db import migrate; migrate.upgrade(); migrate.upgrade()"
            environment = os.environ | {"DATABASE_URL": url}
            return subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True
            )

        with ThreadPoolExecutor(3) as pool:
            for done in pool.map(upgrade, urls):
                assert done.returncode == 0, done.stderr
        for url in urls:
            with psycopg.connect(url) as connection:
                connection.execute("SET LOCAL ROLE extrophi_tenant")
                assert connection.execute("SELECT count(*) FROM cards").fetchone() == (0,)
    finally:
        server.stop()


def test_a_user_who_may_not_make_roles_is_told_and_the_first_wall_stands(tmp_path, point_at, caplog):
    from backend.embedded.postgres import EmbeddedPostgres
    from backend.embedded.tuning import THROWAWAY

    server = EmbeddedPostgres(tmp_path / "pg", log=tmp_path / "pg.log", extra=THROWAWAY)
    server.start()
    try:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE plain LOGIN PASSWORD 'pass'")
            admin.execute("CREATE DATABASE plain OWNER plain")
        point_at(as_user(on_database(server.url(), "plain"), "plain"))
        migrate.upgrade()
        with unit_of_work() as connection:
            told = tenants.problem(connection)
        assert "CREATE ROLE extrophi_tenant NOLOGIN; GRANT extrophi_tenant TO plain" in told
        mine, _ = two_owners()
        with unit_of_work(mine) as connection:
            assert connection.execute(text("SELECT current_user")).scalar_one() == "plain"
            found = connection.execute(text("SELECT count(*) FROM cards WHERE user_id = :o"), {"o": mine})
            assert found.scalar_one() == 1
        # The remedy that was named, word for word:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("CREATE ROLE extrophi_tenant NOLOGIN")
        migrate.upgrade()
        with unit_of_work() as connection:
            assert "may not act as extrophi_tenant" in tenants.problem(connection)
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("GRANT extrophi_tenant TO plain")
        migrate.upgrade()
        with unit_of_work(mine) as connection:
            assert tenants.problem(connection) is None
            assert count(connection, "cards") == 1
    finally:
        session.dispose()
        server.stop()
