"""The books of a whole database: what must be true at every moment, whatever was killed when.

``violations(url)`` reads one snapshot, so it may be asked while everything runs.
"""

from __future__ import annotations

from sqlalchemy import Connection, create_engine, pool, text

from backend.core.settings import Settings
from backend.ledger import invariants

# A card's id is its operation's id with the index in the low 24 bits.
_CARD = "(left(o.id::text, 30) || lpad(to_hex({index}), 6, '0'))::uuid"
_FIRST = _CARD.format(index="p.first_index")
_LAST = _CARD.format(index="p.first_index + greatest(p.item_count, 1) - 1")

_CHECKS = {
    "a part of an import does not have the cards it says it made": f"""
        SELECT p.operation_id, p.part_no, p.state, p.imported, made.cards, made.gone
        FROM operations o JOIN operation_parts p ON p.operation_id = o.id
        CROSS JOIN LATERAL (SELECT
            (SELECT count(*) FROM cards c WHERE c.id BETWEEN {_FIRST} AND {_LAST}) AS cards,
            (SELECT count(*) FROM card_tombstones t
             WHERE t.user_id = o.user_id AND t.card_id BETWEEN {_FIRST} AND {_LAST}) AS gone) made
        WHERE o.kind = 'import'
          AND made.cards + made.gone
              <> CASE WHEN (o.options ->> 'dry_run')::boolean THEN 0 ELSE p.imported END
    """,
    "a part that is not done has left something behind": """
        SELECT operation_id, part_no, state FROM operation_parts
        WHERE state <> 'DONE' AND imported + updated + skipped + published + awarded > 0
    """,
    "a part does not account for each item": """
        SELECT operation_id, part_no, state, item_count FROM operation_parts
        WHERE state IN ('DONE', 'FAILED') AND imported + updated + skipped + failed <> item_count
    """,
    "the parts do not make up the operation": """
        SELECT o.id, o.total_items, sum(p.item_count), count(p.part_no), o.part_count
        FROM operations o LEFT JOIN operation_parts p ON p.operation_id = o.id
        WHERE o.kind <> 'export' GROUP BY o.id
        HAVING o.total_items <> coalesce(sum(p.item_count), 0) OR o.part_count <> count(p.part_no)
    """,
    "failed items without an item error, or the other way round": """
        SELECT p.operation_id, p.part_no, p.failed, count(e.item_index)
        FROM operation_parts p LEFT JOIN operation_item_errors e ON e.operation_id = p.operation_id
            AND e.item_index >= p.first_index AND e.item_index < p.first_index + p.item_count
        WHERE p.payload IS NULL GROUP BY p.operation_id, p.part_no
        HAVING p.failed <> count(e.item_index) AND NOT (p.state = 'FAILED' AND count(e.item_index) = 0)
    """,
    "the ledger has other awards of an operation than its parts": """
        SELECT o.id, coalesce(p.awarded, 0) AS said, coalesce(l.rows, 0) AS written
        FROM operations o
        LEFT JOIN (SELECT operation_id, sum(awarded) AS awarded FROM operation_parts GROUP BY 1) p
            ON p.operation_id = o.id
        LEFT JOIN (SELECT operation_id, count(*) AS rows FROM extropy_ledger GROUP BY 1) l
            ON l.operation_id = o.id
        WHERE coalesce(l.rows, 0) <> CASE WHEN (o.options ->> 'dry_run')::boolean THEN 0
                                     ELSE coalesce(p.awarded, 0) END
    """,
    "an operation is over while a part is pending": """
        SELECT o.id, o.state, p.part_no FROM operations o JOIN operation_parts p ON p.operation_id = o.id
        WHERE o.finished_at IS NOT NULL AND p.state = 'PENDING'
    """,
    "a finished operation's state is not what its parts say": """
        SELECT o.id, o.state, o.error FROM operations o
        CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'FAILED') AS failed,
            count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled
            FROM operation_parts WHERE operation_id = o.id) p
        WHERE o.finished_at IS NOT NULL AND NOT CASE o.state
            WHEN 'SUCCESS' THEN p.failed = 0 AND p.cancelled = 0 AND o.error IS NULL
            WHEN 'CANCELLED' THEN p.cancelled > 0
            ELSE o.error IS NOT NULL END
    """,
    "a finished operation's result is not the sum of its parts": """
        SELECT o.id, o.kind, o.result, p.imported, p.failed FROM operations o
        CROSS JOIN LATERAL (SELECT sum(imported) AS imported, sum(failed) AS failed
            FROM operation_parts WHERE operation_id = o.id) p
        WHERE o.finished_at IS NOT NULL AND o.kind <> 'export' AND (
            p.imported <> (o.result ->> CASE o.kind WHEN 'import' THEN 'cards_imported'
                WHEN 'delete' THEN 'cards_deleted' ELSE 'cards_restored' END)::int
            OR p.failed <> (o.result ->> 'cards_failed')::int)
    """,
    "a finished operation kept payloads or counters": """
        SELECT o.id, o.state FROM operations o WHERE o.finished_at IS NOT NULL AND (
            EXISTS (SELECT 1 FROM operation_parts WHERE operation_id = o.id AND payload IS NOT NULL
                    AND state <> 'FAILED')
            OR EXISTS (SELECT 1 FROM operation_part_attempts WHERE operation_id = o.id))
    """,
    "a part was started more often than allowed": """
        SELECT operation_id, part_no, attempts, starts FROM operation_part_attempts
        WHERE attempts > 6 OR starts > 21
    """,
    "more cards carry a deletion than its operation made": """
        SELECT o.id, o.kind, o.imported, c.cards FROM (
            SELECT deletion ->> 'operation' AS operation, count(*) AS cards FROM cards
            WHERE deleted_at IS NOT NULL GROUP BY 1) c
        LEFT JOIN (SELECT o.id::text AS id, o.kind, sum(p.imported) AS imported FROM operations o
            JOIN operation_parts p ON p.operation_id = o.id WHERE o.kind = 'delete' GROUP BY 1, 2) o
            ON o.id = c.operation
        WHERE c.cards > coalesce(o.imported, 0)
    """,
}


def violations(url: str, *, purged: bool = False) -> list[str]:
    """Every violation in one snapshot, as one line each.

    Args:
        url: the database.
        purged: operations or their item errors have been purged, so that what is checked against them is not.
    """
    engine = create_engine(Settings(database_url=url).sqlalchemy_url, poolclass=pool.NullPool)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return find(connection, purged=purged)


def find(connection: Connection, *, purged: bool = False) -> list[str]:
    """The same in the caller's snapshot."""
    found = [str(violation.as_json()) for violation in invariants.find(connection)]
    for name, query in _CHECKS.items():
        if purged and name.startswith(("failed items", "more cards carry")):
            continue
        rows = connection.execute(text(f"{query} LIMIT 5")).all()
        found += [f"{name}: {tuple(map(str, row))}" for row in rows]
    return found


def counts(url: str) -> dict[str, int]:
    """How many operations are in each state, and how many cards, awards and pending parts there are."""
    engine = create_engine(Settings(database_url=url).sqlalchemy_url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        states = dict(connection.execute(text("SELECT state, count(*) FROM operations GROUP BY 1")).all())
        query = """SELECT (SELECT count(*) FROM cards) AS cards,
            (SELECT count(*) FROM extropy_ledger) AS awards,
            (SELECT count(*) FROM operation_parts WHERE state = 'PENDING') AS pending_parts"""
        return {**states, **connection.execute(text(query)).one()._mapping}
