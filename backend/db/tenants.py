"""The second wall between owners: row-level security, under a role that owns nothing.

Every query names its owner; that is the first wall. The second stands in PostgreSQL: ``unit_of_work(owner)``
turns into the role ``extrophi_tenant`` for its transaction, and policies (migration 0002) then show that role
the rows of ``extrophi.owner`` only. A forgotten ``WHERE user_id = …`` shows nothing instead of everything.

The tables' owner, which the application connects as, is not bound by policies: workers COPY into the tables,
which PostgreSQL refuses under row-level security, and sweep over all owners.

Where the role cannot be made or used (no CREATEROLE, a managed server's rules), the first wall stands alone;
``problem()`` says so, and what to do.
"""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import Connection, text

ROLE = "extrophi_tenant"
OWNER = "extrophi.owner"

# What the role may do, where the policies of migration 0002 let it.
_READ_AND_WRITE = (
    "cards", "card_tombstones", "operations", "operation_parts", "operation_part_attempts",
    "operation_item_errors", "idempotency_keys", "owner_turns", "api_keys",
)  # fmt: skip
GRANTS: dict[str, str] = {
    **dict.fromkeys(_READ_AND_WRITE, "SELECT, INSERT, UPDATE, DELETE"),
    "users": "SELECT, UPDATE (extropy_balance)",
    "extropy_ledger": "SELECT, INSERT",
    "audit_log": "INSERT",
}

log = logging.getLogger(__name__)

# Roles belong to the cluster: another database's migration may be making the same one right now.
_MAKE = f"""
DO $$
BEGIN
    IF to_regrole('{ROLE}') IS NULL THEN
        BEGIN
            CREATE ROLE {ROLE} NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
        END;
    END IF;
    IF to_regrole('{ROLE}') IS NOT NULL AND NOT pg_has_role(to_regrole('{ROLE}'), '%(privilege)s') THEN
        BEGIN
            EXECUTE 'GRANT {ROLE} TO ' || quote_ident(current_user);
        EXCEPTION
            WHEN insufficient_privilege OR unique_violation OR internal_error THEN NULL;
        END;
    END IF;
    IF to_regrole('{ROLE}') IS NOT NULL
            AND NOT has_schema_privilege(to_regrole('{ROLE}'), current_schema(), 'USAGE') THEN
        EXECUTE 'GRANT USAGE ON SCHEMA ' || quote_ident(current_schema()) || ' TO {ROLE}';
    END IF;
END $$
"""
_USABLE = "SELECT to_regrole(:role) IS NOT NULL, coalesce(pg_has_role(to_regrole(:role), :privilege), false)"


def ensure(connection: Connection) -> str | None:
    """Make the role and give it its rights, as far as this user may. Idempotent; runs with every migration.

    Returns:
        What is missing, as ``problem()`` says it.
    """
    connection.exec_driver_sql(_MAKE % {"privilege": _privilege(connection)})
    missing = problem(connection)
    if missing is not None:
        log.warning("%s", missing)
        return missing
    for table, rights in GRANTS.items():
        connection.exec_driver_sql(f"GRANT {rights} ON {table} TO {ROLE}")
    sequence = connection.exec_driver_sql("SELECT pg_get_serial_sequence('audit_log', 'id')").scalar_one()
    connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {sequence} TO {ROLE}")
    return None


def problem(connection: Connection) -> str | None:
    """Why row-level security does not guard this connection's units of work, and the remedy; or None."""
    parameters = {"role": ROLE, "privilege": _privilege(connection)}
    exists, usable = connection.execute(text(_USABLE), parameters).one()
    user = connection.exec_driver_sql("SELECT current_user").scalar_one()
    if not exists:
        return (
            f"Row-level security is off: role {ROLE} is missing and {user} may not make it. As a superuser: "
            f"CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO {user}; then run extrophi migrate."
        )
    if not usable:
        return (
            f"Row-level security is off: {user} may not act as {ROLE}. As a superuser: "
            f"GRANT {ROLE} TO {user}; then run extrophi migrate."
        )
    return None


def enter(connection: Connection, driver: psycopg.Connection[object], owner: UUID) -> None:
    """Begin the transaction as ``owner``: role and owner are set in the round trip that begins it.

    Both end with the transaction. Where the role cannot be used, neither is set.
    """
    choose = choosing(connection, owner)
    low = driver.pgconn
    try:
        result = low.exec_(f"BEGIN; {choose}".encode())
        if result.status == ExecStatus.TUPLES_OK and low.transaction_status == TransactionStatus.INTRANS:
            return
        if low.transaction_status == TransactionStatus.INERROR:
            low.exec_(b"ROLLBACK")
    except psycopg.OperationalError:
        pass
    # Again through SQLAlchemy, which turns the failure into its error and drops a broken pool.
    connection.exec_driver_sql(choose)


def choosing(connection: Connection, owner: UUID) -> str:
    """The statement that turns the rest of a transaction into ``owner``'s, as far as that can be."""
    return (
        f"SELECT set_config('{OWNER}', '{UUID(str(owner))}', true), set_config('role', '{ROLE}', true) "
        f"WHERE pg_has_role(to_regrole('{ROLE}'), '{_privilege(connection)}')"
    )


def _privilege(connection: Connection) -> str:
    """Since PostgreSQL 16 being a member does not imply being allowed to SET ROLE."""
    major = (connection.dialect.server_version_info or (0,))[0]
    return "SET" if int(major) >= 16 else "MEMBER"
