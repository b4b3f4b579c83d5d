"""The whole schema in one room.

Each table says what it is for; each index says which query needs it. Migrations are generated from
here and ``alembic check`` holds the two together. Feature stores import their tables from this module,
so no feature needs another one to name a foreign key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from backend.db.base import TOKENS, Xid8, metadata

NOW = text("now()")
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_ARRAY = text("'{}'::text[]")
TIME = DateTime(timezone=True)

PRIVACY_LEVELS = ("PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS")
KINDS = ("import", "export", "delete", "restore")
OPERATION_STATES = ("PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "CANCELLED")
PART_STATES = ("PENDING", "DONE", "FAILED", "CANCELLED")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("extropy_balance", TOKENS, nullable=False, server_default=text("0")),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    CheckConstraint("char_length(name) BETWEEN 1 AND 200", name="name_length"),
    CheckConstraint("extropy_balance >= 0", name="balance_not_negative"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # the first characters, shown in lists
    Column("last_four", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # HMAC-SHA-256 with the pepper
    Column("scopes", ARRAY(Text), nullable=False, server_default=EMPTY_ARRAY),
    Column("limits", JSONB, nullable=False, server_default=EMPTY_OBJECT),  # per-key overrides
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    Column("last_used_at", TIME),
    Column("rotated_to", Uuid),  # the key that takes over; this one works until expires_at
    CheckConstraint("octet_length(key_hash) = 32", name="hash_length"),
    Index(None, "user_id"),  # list one owner's keys
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("at", TIME, nullable=False, server_default=NOW),
    Column("user_id", Uuid),  # no foreign key: the record outlives the user
    Column("api_key_id", Uuid),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("remote_address", Text),
    Column("request_id", Text),
    Column("details", JSONB, nullable=False, server_default=EMPTY_OBJECT),
)

cards = Table(
    "cards",
    metadata,
    Column("id", Uuid, primary_key=True),  # operation id + index, see backend.core.ids
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("fingerprint", Uuid, nullable=False),  # what makes two cards the same, see cards.rules
    Column("changed_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Column("published_at", TIME),  # the first time; kept when the card is unpublished
    Column("deleted_at", TIME),
    Column("is_published", Boolean, nullable=False, server_default=text("false")),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("privacy_level", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False, server_default=EMPTY_ARRAY),
    Column("source_platform", Text),
    Column("source_url", Text),
    Column("external_id", Text),
    Column("published_url", Text),
    Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column("deletion", JSONB),  # what a restore needs: who deleted it and what was overwritten
    CheckConstraint(_one_of("privacy_level", PRIVACY_LEVELS), name="privacy_level"),
    CheckConstraint("char_length(title) BETWEEN 1 AND 1000", name="title_length"),
    CheckConstraint("octet_length(body) <= 1048576", name="body_size"),
    CheckConstraint("char_length(category) BETWEEN 1 AND 50", name="category_length"),
    CheckConstraint("cardinality(tags) <= 50", name="tags_count"),
    CheckConstraint("is_published = (published_url IS NOT NULL)", name="published_has_url"),
    CheckConstraint("NOT is_published OR privacy_level IN ('BUSINESS', 'IDEAS')", name="only_public"),
    CheckConstraint("NOT is_published OR published_at IS NOT NULL", name="published_has_time"),
    CheckConstraint("NOT is_published OR deleted_at IS NULL", name="deleted_not_published"),
    CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata_object"),
    Index(None, "user_id", "id"),  # export and list one owner's cards in a stable order
    Index(None, "user_id", "fingerprint"),  # on_duplicate = skip, update, fail
)

card_tombstones = Table(
    "card_tombstones",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("card_id", Uuid, nullable=False),
    Column("external_id", Text),
    Column("changed_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("deleted_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("user_id", "card_id"),  # incremental exports list hard-deleted cards
)

operations = Table(
    "operations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("api_key_id", Uuid),
    Column("parent_id", Uuid),  # the operation that this one retries or undoes
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'PENDING'")),
    Column("max_parallel", SmallInteger, nullable=False),  # runners side by side; 1 where order matters
    Column("total_items", Integer, nullable=False),
    Column("part_count", Integer, nullable=False),
    Column("options", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column("result", JSONB),
    Column("error", Text),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("started_at", TIME),
    Column("cancel_requested_at", TIME),
    Column("finished_at", TIME),
    CheckConstraint(_one_of("kind", KINDS), name="kind"),
    CheckConstraint(_one_of("state", OPERATION_STATES), name="state"),
    CheckConstraint("right(id::text, 6) = 'ffffff'", name="id_leaves_room_for_indexes"),
    CheckConstraint("total_items >= 0 AND total_items < 16777215", name="total_items"),
    CheckConstraint(
        "(finished_at IS NOT NULL) = (state IN ('SUCCESS', 'FAILURE', 'CANCELLED'))", name="final_is_finished"
    ),
    Index(None, "user_id", "id"),  # list one owner's operations, newest first
    Index(  # whose turn is it; how many are waiting
        "ix_operations_active", "user_id", "id", postgresql_where=text("finished_at IS NULL")
    ),
)

operation_parts = Table(
    "operation_parts",
    metadata,
    Column("operation_id", Uuid, nullable=False),
    Column("part_no", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'PENDING'")),
    Column("first_index", Integer, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("imported", Integer, nullable=False, server_default=text("0")),  # or exported, deleted, restored
    Column("updated", Integer, nullable=False, server_default=text("0")),
    Column("skipped", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("published", Integer, nullable=False, server_default=text("0")),
    Column("awarded", Integer, nullable=False, server_default=text("0")),  # ledger rows written
    Column("duration_ms", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", TIME),  # the backoff of a transient error
    Column("finished_at", TIME),
    Column("payload", LargeBinary),  # zstd; gone once the part is done
    Column("outcomes", LargeBinary),  # zstd; what /results and undo need beyond the id range
    Column("error", Text),
    PrimaryKeyConstraint("operation_id", "part_no"),
    ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
    CheckConstraint(_one_of("state", PART_STATES), name="state"),
    CheckConstraint(
        "state <> 'DONE' OR imported + updated + skipped + failed = item_count", name="every_item_accounted"
    ),
    Index(  # the next part to take, whatever the number of those done
        "ix_operation_parts_pending", "operation_id", "part_no", postgresql_where=text("state = 'PENDING'")
    ),
)

# Apart from the part, because the attempt is committed while the part's row lock is held elsewhere.
operation_part_attempts = Table(
    "operation_part_attempts",
    metadata,
    Column("operation_id", Uuid, nullable=False),
    Column("part_no", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),  # those that count against the part
    Column("starts", Integer, nullable=False),  # all of them, excused ones too
    Column("node", Text, nullable=False),  # the worker that started it last
    Column("incarnation", Uuid),  # which start of that worker; gone once the attempt has ended
    Column("last_started_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("operation_id", "part_no"),
    ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
)

operation_item_errors = Table(
    "operation_item_errors",
    metadata,
    Column("operation_id", Uuid, nullable=False),
    Column("item_index", Integer, nullable=False),
    Column("row_number", Integer),  # 1-based line or row in the uploaded file, where there is one
    Column("code", Text, nullable=False),
    Column("field", Text),
    Column("title", Text),  # so that a person can recognise the card
    Column("message", Text, nullable=False),
    Column("record", LargeBinary),  # the item as sent, in its source's own shape (JSON)
    PrimaryKeyConstraint("operation_id", "item_index"),
    ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE"),
)

# Who was served when; apart from users, whose row is locked by balances.
owner_turns = Table(
    "owner_turns",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("last_turn_at", TIME, nullable=False, server_default=NOW),
)

# Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE. No foreign keys to cards or operations:
# the books outlive both. That users exist and stay is held by triggers, once per statement (decision 0008).
extropy_ledger = Table(
    "extropy_ledger",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("card_id", Uuid, nullable=False),
    Column("operation_id", Uuid, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("amount", TOKENS, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("card_id", "reason"),  # one award per card and reason, for ever
    CheckConstraint("amount <> 0", name="amount_not_zero"),
    Index(None, "user_id", "created_at", "card_id"),  # one owner's ledger, newest first
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("response", JSONB, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("user_id", "key"),
    Index(None, "created_at"),  # retention
)
