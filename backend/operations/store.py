"""Operations, their parts and what went wrong with single items: the tables behind the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from backend.db import copy_binary as c
from backend.db.copy_wire import copy_rows
from backend.db.session import driver, read_as
from backend.operations.parts import Cut, Part
from backend.operations.state import State, Totals


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of ``operations``."""

    id: UUID
    user_id: UUID
    kind: str
    state: State
    total_items: int
    part_count: int
    max_parallel: int
    options: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    parent_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    cancel_requested_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewOperation:
    """What a submission stages, apart from its parts."""

    id: UUID
    user_id: UUID
    kind: str
    max_parallel: int
    options: dict[str, Any]
    api_key_id: UUID | None = None
    parent_id: UUID | None = None


@dataclass(slots=True)
class ItemError:
    """One item that failed. ``record`` is the item as sent."""

    index: int
    code: str
    message: str
    field: str | None = None
    title: str | None = None
    row: int | None = None
    record: bytes | None = None


@dataclass(slots=True)
class PartResult:
    """What one part did. ``imported`` counts exported, deleted and restored items too.

    ``outcomes`` lists ``[index, outcome, card id]`` wherever that does not follow from the id range.
    """

    imported: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    published: int = 0
    awarded: int = 0
    item_count: int | None = None
    errors: list[ItemError] = field(default_factory=list)
    outcomes: list[tuple[int, str, str | None]] = field(default_factory=list)
    summary: dict[str, Any] | None = None


_COLUMNS = (
    "id, user_id, kind, state, total_items, part_count, max_parallel, options, result, error, parent_id, "
    "created_at, started_at, cancel_requested_at, finished_at"
)
_INSERT = text(
    """
    INSERT INTO operations (id, user_id, api_key_id, parent_id, kind, max_parallel, total_items, part_count,
                            options)
    VALUES (:id, :user_id, :api_key_id, :parent_id, :kind, :max_parallel, :total, :parts,
            CAST(:options AS jsonb))
    """
)
_SIZE = text("UPDATE operations SET total_items = :total, part_count = :parts WHERE id = :id")
_COPY_PARTS = (
    "COPY operation_parts (operation_id, part_no, first_index, item_count, payload) "
    "FROM STDIN (FORMAT binary)"
)
_ERRORS_AT_ONCE = 100  # of them in memory once more
_COPY_ERRORS = (
    "COPY operation_item_errors (operation_id, item_index, row_number, code, field, title, message, record) "
    "FROM STDIN (FORMAT binary)"
)
_GET = text(f"SELECT {_COLUMNS} FROM operations WHERE id = :id AND user_id = :owner")  # noqa: S608 - constant
_SUMS = """
        coalesce(sum(item_count) FILTER (WHERE state IN ('DONE', 'FAILED')), 0) AS processed,
        coalesce(sum(imported), 0) AS imported, coalesce(sum(updated), 0) AS updated,
        coalesce(sum(skipped), 0) AS skipped, coalesce(sum(failed), 0) AS failed,
        coalesce(sum(published), 0) AS published, coalesce(sum(awarded), 0) AS awarded,
        count(*) FILTER (WHERE state = 'PENDING') AS pending_parts,
        count(*) FILTER (WHERE state = 'FAILED') AS failed_parts,
        count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled_parts
    FROM operation_parts WHERE operation_id
"""
_TOTALS = text(f"SELECT {_SUMS} = :id")
_TOTALS_OF = text(f"SELECT operation_id, {_SUMS} = ANY(:ids) GROUP BY operation_id")
_GET_WITH_TOTALS = f"""
    SELECT {_COLUMNS}, sums.* FROM operations AS o
    LEFT JOIN LATERAL (SELECT {_SUMS} = o.id) AS sums ON finished_at IS NULL
    WHERE id = %(id)s AND user_id = %(owner)s
    """  # noqa: S608 - constant
_LIST = """
    SELECT {columns} FROM operations
    WHERE user_id = :owner AND (CAST(:before AS uuid) IS NULL OR id < :before)
      AND (CAST(:kind AS text) IS NULL OR kind = :kind)
      AND (CAST(:state AS text) IS NULL OR state = :state)
      AND (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
    ORDER BY id DESC LIMIT :size
"""
_ERRORS = text(
    """
    SELECT item_index, row_number, code, field, title, message, record FROM operation_item_errors
    WHERE operation_id = :id AND item_index > :after ORDER BY item_index LIMIT :size
    """
)
_OUTCOMES = text(
    "SELECT part_no, state, first_index, item_count, outcomes FROM operation_parts "
    "WHERE operation_id = :id AND first_index + item_count > :index ORDER BY part_no LIMIT :parts"
)
_WAITING = text("SELECT count(*) FROM operations WHERE user_id = :owner AND finished_at IS NULL")
# The installation's own rate: the newest finished operations of that kind, by the primary key.
_RATE = text(
    """
    SELECT sum(total_items) / nullif(sum(greatest(
               extract(epoch FROM finished_at - started_at), 0.001)), 0)
    FROM (SELECT total_items, started_at, finished_at FROM (
              SELECT kind, state, total_items, started_at, finished_at FROM operations
              ORDER BY id DESC LIMIT 500) newest
          WHERE kind = :kind AND state = 'SUCCESS' LIMIT 20) measured
    """
)


def insert(connection: Connection, new: NewOperation, parts: Iterable[Part]) -> tuple[int, int]:
    """Record an operation and stage its parts as they come, one in memory at a time.

    Returns:
        Number of items and of parts staged.
    """
    values = {
        "id": new.id,
        "user_id": new.user_id,
        "api_key_id": new.api_key_id,
        "parent_id": new.parent_id,
        "kind": new.kind,
        "max_parallel": new.max_parallel,
        "options": json.dumps(new.options),
        "total": 0,
        "parts": 0,
    }
    size = _size(parts)
    if size is not None:
        total, count = size
        connection.execute(_INSERT, values | {"total": total, "parts": count})
        return _copy_parts(connection, new.id, parts)
    # A stream's size is known once it was read; the foreign key wants the operation's row before its parts.
    connection.execute(_INSERT, values)
    total, count = _copy_parts(connection, new.id, parts)
    connection.execute(_SIZE, {"id": new.id, "total": total, "parts": count})
    return total, count


def _size(parts: Iterable[Part]) -> tuple[int, int] | None:
    """Items and parts, where that is known before they are read."""
    if isinstance(parts, Cut):
        return parts.item_count, len(parts)
    if isinstance(parts, list):
        return sum(part.item_count for part in parts), len(parts)
    return None


def _copy_parts(connection: Connection, operation_id: UUID, parts: Iterable[Part]) -> tuple[int, int]:
    total = count = 0
    head = c.fields(5) + c.raw(operation_id.bytes)

    def rows() -> Iterator[list[bytes]]:
        nonlocal total, count
        for part in parts:
            numbers = b"".join(c.integer(n) for n in (part.number, part.first_index, part.item_count))
            payload = c.NULL if part.payload is None else c.raw(part.payload)
            yield [head + numbers + payload]
            total += part.item_count
            count += 1

    copy_rows(driver(connection), _COPY_PARTS, rows())
    return total, count


def add_options(connection: Connection, operation_id: UUID, options: dict[str, Any]) -> None:
    """Add options that became known while the parts were staged."""
    query = text("UPDATE operations SET options = options || CAST(:options AS jsonb) WHERE id = :id")
    connection.execute(query, {"id": operation_id, "options": json.dumps(options)})


def insert_errors(connection: Connection, operation_id: UUID, errors: Sequence[ItemError]) -> None:
    """Record failed items, in the transaction of their part."""
    if not errors:
        return
    head = c.fields(8) + c.raw(operation_id.bytes)
    rows = [
        b"".join(
            (
                head,
                c.integer(error.index),
                c.NULL if not error.row else c.integer(error.row),
                c.text(error.code),
                c.text(error.field),
                c.text(error.title),
                c.text(error.message),
                c.NULL if error.record is None else c.raw(error.record),
            )
        )
        for error in errors
    ]
    batches = [rows[start : start + _ERRORS_AT_ONCE] for start in range(0, len(rows), _ERRORS_AT_ONCE)]
    copy_rows(driver(connection), _COPY_ERRORS, batches, size=len(batches))


def get(connection: Connection, owner: UUID, operation_id: UUID) -> Operation | None:
    """The owner's operation, or ``None`` for an unknown id and for somebody else's alike."""
    row = connection.execute(_GET, {"id": operation_id, "owner": owner}).one_or_none()
    return None if row is None else _operation(row._mapping)


def read_with_totals(owner: UUID, operation_id: UUID) -> tuple[Operation, Totals | None] | None:
    """``get``, and the sums over the parts of an operation that is not over: one round trip altogether."""
    rows = read_as(owner, _GET_WITH_TOTALS, {"id": operation_id, "owner": owner})
    if not rows:
        return None
    operation = _operation({name: rows[0][name] for name in _COLUMNS.split(", ")})
    if operation.finished_at is not None:
        return operation, None
    return operation, _sums({one.name: rows[0][one.name] for one in fields(Totals)})


def lock(connection: Connection, operation_id: UUID) -> Operation | None:
    """The operation under its row lock, for the engine."""
    query = text(f"SELECT {_COLUMNS} FROM operations WHERE id = :id FOR NO KEY UPDATE")  # noqa: S608 - constant
    row = connection.execute(query, {"id": operation_id}).one_or_none()
    return None if row is None else _operation(row._mapping)


def totals(connection: Connection, operation_id: UUID) -> Totals:
    """Sums over the operation's parts."""
    return _sums(connection.execute(_TOTALS, {"id": operation_id}).one()._mapping)


def totals_of(connection: Connection, operation_ids: Sequence[UUID]) -> dict[UUID, Totals]:
    """Sums over the parts of several operations, in one statement for a whole list of them."""
    if not operation_ids:
        return {}
    rows = connection.execute(_TOTALS_OF, {"ids": list(operation_ids)})
    return {row.operation_id: _sums(row._mapping) for row in rows}


def page(
    connection: Connection,
    owner: UUID,
    size: int,
    *,
    before: UUID | None = None,
    kind: str | None = None,
    state: str | None = None,
    since: datetime | None = None,
) -> list[Operation]:
    """The owner's operations, newest first, from an id downwards."""
    values = {
        "owner": owner,
        "before": before,
        "kind": kind,
        "state": state,
        "since": since,
        "size": size,
    }
    return [
        _operation(row._mapping) for row in connection.execute(text(_LIST.format(columns=_COLUMNS)), values)
    ]


def errors_page(
    connection: Connection, operation_id: UUID, *, after: int = -1, size: int = 100
) -> list[ItemError]:
    """Failed items in input order, from an index on (exclusive). The caller has checked the owner."""
    rows = connection.execute(_ERRORS, {"id": operation_id, "after": after, "size": size})
    return [
        ItemError(
            row.item_index,
            row.code,
            row.message,
            row.field,
            row.title,
            row.row_number,
            None if row.record is None else bytes(row.record),
        )
        for row in rows
    ]


def part_outcomes(
    connection: Connection, operation_id: UUID, *, index: int = 0, parts: int = 1_000_000
) -> list[Row[Any]]:
    """Parts from the one that holds ``index`` on: state, first index, count, outcomes."""
    return list(connection.execute(_OUTCOMES, {"id": operation_id, "index": index, "parts": parts}))


def unfinished(connection: Connection, owner: UUID) -> int:
    """How many operations of the owner are waiting or running."""
    return int(connection.execute(_WAITING, {"owner": owner}).scalar_one())


def measured_rate(connection: Connection, kind: str) -> float | None:
    """Items a second of the newest successful operations of a kind; ``None`` before the first one."""
    rate = connection.execute(_RATE, {"kind": kind}).scalar()
    return None if rate is None else float(rate)


def _sums(row: Mapping[Any, Any]) -> Totals:
    return Totals(**{name: int(value) for name, value in row.items() if name != "operation_id"})


def _operation(row: Mapping[Any, Any]) -> Operation:
    values = dict(row)
    values["state"] = State(values["state"])
    return Operation(**values)
