"""The ground: every table, the append-only ledger and storage settings.

Revision: 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from backend.db.base import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("remote_address", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "extropy_balance", sa.Numeric(precision=20, scale=8), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 200", name=op.f("ck_users_name_length")),
        sa.CheckConstraint("extropy_balance >= 0", name=op.f("ck_users_balance_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
        ),
        sa.Column(
            "limits",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rotated_to", sa.Uuid(), nullable=True),
        sa.CheckConstraint("octet_length(key_hash) = 32", name=op.f("ck_api_keys_hash_length")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"], unique=False)
    op.create_table(
        "card_tombstones",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("changed_xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_card_tombstones_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "card_id", name=op.f("pk_card_tombstones")),
    )
    op.create_table(
        "cards",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Uuid(), nullable=False),
        sa.Column("changed_xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_published", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("privacy_level", sa.Text(), nullable=False),
        sa.Column(
            "tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
        ),
        sa.Column("source_platform", sa.Text(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("published_url", sa.Text(), nullable=True),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("deletion", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "NOT is_published OR privacy_level IN ('BUSINESS', 'IDEAS')",
            name=op.f("ck_cards_only_public"),
        ),
        sa.CheckConstraint("jsonb_typeof(metadata) = 'object'", name=op.f("ck_cards_metadata_object")),
        sa.CheckConstraint(
            "privacy_level IN ('PRIVATE', 'PERSONAL', 'THOUGHTS', 'JOURNAL', 'BUSINESS', 'IDEAS')",
            name=op.f("ck_cards_privacy_level"),
        ),
        sa.CheckConstraint(
            "NOT is_published OR deleted_at IS NULL", name=op.f("ck_cards_deleted_not_published")
        ),
        sa.CheckConstraint(
            "NOT is_published OR published_at IS NOT NULL", name=op.f("ck_cards_published_has_time")
        ),
        sa.CheckConstraint("cardinality(tags) <= 50", name=op.f("ck_cards_tags_count")),
        sa.CheckConstraint("char_length(category) BETWEEN 1 AND 50", name=op.f("ck_cards_category_length")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 1000", name=op.f("ck_cards_title_length")),
        sa.CheckConstraint(
            "is_published = (published_url IS NOT NULL)", name=op.f("ck_cards_published_has_url")
        ),
        sa.CheckConstraint("octet_length(body) <= 1048576", name=op.f("ck_cards_body_size")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_cards_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cards")),
    )
    op.create_index(op.f("ix_cards_user_id_fingerprint"), "cards", ["user_id", "fingerprint"], unique=False)
    op.create_index(op.f("ix_cards_user_id_id"), "cards", ["user_id", "id"], unique=False)
    op.create_table(
        "extropy_ledger",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("amount", sa.Numeric(precision=20, scale=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_extropy_ledger_amount_not_zero")),
        sa.PrimaryKeyConstraint("card_id", "reason", name=op.f("pk_extropy_ledger")),
    )
    op.create_index(
        op.f("ix_extropy_ledger_user_id_created_at_card_id"),
        "extropy_ledger",
        ["user_id", "created_at", "card_id"],
        unique=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("response", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "operations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column("max_parallel", sa.SmallInteger(), nullable=False),
        sa.Column("total_items", sa.Integer(), nullable=False),
        sa.Column("part_count", sa.Integer(), nullable=False),
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('SUCCESS', 'FAILURE', 'CANCELLED'))",
            name=op.f("ck_operations_final_is_finished"),
        ),
        sa.CheckConstraint(
            "kind IN ('import', 'export', 'delete', 'restore')", name=op.f("ck_operations_kind")
        ),
        sa.CheckConstraint(
            "right(id::text, 6) = 'ffffff'", name=op.f("ck_operations_id_leaves_room_for_indexes")
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'CANCELLED')",
            name=op.f("ck_operations_state"),
        ),
        sa.CheckConstraint(
            "total_items >= 0 AND total_items < 16777215", name=op.f("ck_operations_total_items")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_operations_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index(
        "ix_operations_active",
        "operations",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(op.f("ix_operations_user_id_id"), "operations", ["user_id", "id"], unique=False)
    op.create_table(
        "owner_turns",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "last_turn_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_owner_turns_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_owner_turns")),
    )
    op.create_table(
        "operation_item_errors",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("item_index", sa.Integer(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
            name=op.f("fk_operation_item_errors_operation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("operation_id", "item_index", name=op.f("pk_operation_item_errors")),
    )
    op.create_table(
        "operation_part_attempts",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("part_no", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Uuid(), nullable=True),
        sa.Column(
            "last_started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
            name=op.f("fk_operation_part_attempts_operation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("operation_id", "part_no", name=op.f("pk_operation_part_attempts")),
    )
    op.create_table(
        "operation_parts",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("part_no", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column("first_index", sa.Integer(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("imported", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("published", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("awarded", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("duration_ms", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("outcomes", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state <> 'DONE' OR imported + updated + skipped + failed = item_count",
            name=op.f("ck_operation_parts_every_item_accounted"),
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'DONE', 'FAILED', 'CANCELLED')", name=op.f("ck_operation_parts_state")
        ),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
            name=op.f("fk_operation_parts_operation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("operation_id", "part_no", name=op.f("pk_operation_parts")),
    )
    op.create_index(
        "ix_operation_parts_pending",
        "operation_parts",
        ["operation_id", "part_no"],
        unique=False,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    _append_only("extropy_ledger")
    _owners_of_awards()
    # Payloads are zstd already: trying to compress them again costs time and gains nothing.
    op.execute("ALTER TABLE operation_parts ALTER COLUMN payload SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE operation_parts ALTER COLUMN outcomes SET STORAGE EXTERNAL")
    # Rows that are updated once or twice and stay small: room for heap-only updates.
    op.execute("ALTER TABLE operations SET (fillfactor = 70)")
    op.execute("ALTER TABLE operation_parts SET (fillfactor = 70)")
    op.execute("ALTER TABLE users SET (fillfactor = 50)")


def _append_only(table: str) -> None:
    """Refuse UPDATE, DELETE and TRUNCATE, whoever asks."""
    op.execute(
        f"""
        CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()
        """
    )


def _owners_of_awards() -> None:
    """Awards belong to users, and users with awards stay: a foreign key that looks once per statement.

    PostgreSQL's own looks at the user once per row: two fifths of the time of awarding a part.
    """
    op.execute(
        """
        CREATE FUNCTION extropy_ledger_has_owners() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            -- The lock of a foreign key: whoever deletes the user waits for us, or we find nobody.
            PERFORM 1 FROM users WHERE id IN (SELECT user_id FROM added) FOR KEY SHARE;
            IF EXISTS (SELECT user_id FROM added EXCEPT SELECT id FROM users) THEN
                RAISE EXCEPTION 'an award needs a user' USING ERRCODE = 'foreign_key_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER extropy_ledger_has_owners AFTER INSERT ON extropy_ledger
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION extropy_ledger_has_owners()
        """
    )
    op.execute(
        """
        CREATE FUNCTION users_with_awards_stay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' OR EXISTS (SELECT 1 FROM extropy_ledger WHERE user_id = OLD.id) THEN
                RAISE EXCEPTION 'users with awards stay' USING ERRCODE = 'foreign_key_violation';
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$
        """
    )
    for event, each in (("DELETE OR UPDATE OF id", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"""
            CREATE TRIGGER users_with_awards_stay_{each.lower()} BEFORE {event} ON users
            FOR EACH {each} EXECUTE FUNCTION users_with_awards_stay()
            """
        )
