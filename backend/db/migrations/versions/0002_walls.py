"""Row-level security on every owner's rows; the audit log only grows.

The role that the policies bind, and its rights, are made by ``backend.db.tenants.ensure`` after every
migration: roles belong to the cluster, and their absence must not keep a database from its schema.

Revision: 0002, after 0001.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The setting is '' after a transaction that set it, and null before any did.
_OWNER = "(SELECT nullif(current_setting('extrophi.owner', true), '')::uuid)"

_BY_OWNER = (
    "api_keys", "cards", "card_tombstones", "extropy_ledger", "idempotency_keys", "operations", "owner_turns",
)  # fmt: skip
_BY_OPERATION = ("operation_item_errors", "operation_part_attempts", "operation_parts")


def upgrade() -> None:
    for table in _BY_OWNER:
        _guard(table, f"user_id = {_OWNER}")
    _guard("users", f"id = {_OWNER}")
    for table in _BY_OPERATION:
        # One look at a primary key per row. EXISTS would let the planner hash all operations of the owner,
        # however many years of them there are, to show the ten parts of one.
        owner = f"(SELECT o.user_id FROM operations o WHERE o.id = {table}.operation_id)"  # noqa: S608
        _guard(table, f"{owner} = {_OWNER}")
    # Written by everybody about themselves, read by nobody but the tables' owner.
    op.execute("ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY owner ON audit_log FOR INSERT WITH CHECK (user_id = {_OWNER})")
    op.execute(
        """
        CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only()
        """
    )


def _guard(table: str, condition: str) -> None:
    """Policies bind every role but the table's owner and superusers."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY owner ON {table} USING ({condition}) WITH CHECK ({condition})")
