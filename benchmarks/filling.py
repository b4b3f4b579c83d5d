"""Fill the tables as a year of imports would have: many owners of various sizes, ids in the order of time.

PostgreSQL makes the rows itself. Foreign keys are not checked while it does (the owners are there), nor
anything else that an import does per card; what is left behind has the shape of what imports leave: cards,
awards of the published ones, operations that are over and their parts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from backend.core.ids import INDEX_MASK
from benchmarks.rows import LEVELS
from benchmarks.servers import Database

BODY_CHARACTERS = 500
LARGEST_OPERATION = 10_000
PART = 1_000
_BATCH = 200_000  # cards per transaction
_COUNT_OF_TEXTS = 997
_YEAR = timedelta(days=365)

# The texts are a table of their own: taking a piece of one long text costs its whole length, in UTF-8.
_TEXTS = "CREATE TEMPORARY TABLE texts (number int PRIMARY KEY, title text, body text)"
_CARDS = """
    INSERT INTO cards (id, user_id, fingerprint, created_at, updated_at, is_published, published_at,
                       published_url, title, body, category, privacy_level, tags, source_platform, metadata)
    SELECT id, owner, gen_random_uuid(), at, at, public, CASE WHEN public THEN at END,
           CASE WHEN public THEN 'https://extrophi.ai/cards/note-' || translate(id::text, '-', '') END,
           'Note ' || i || ' on ' || title, body, level, level,
           ARRAY['set-' || i %% 7, 'all'], 'filling', jsonb_build_object('number', i)
    FROM (
        SELECT (left(o.id::text, 30) || lpad(to_hex(i), 6, '0'))::uuid AS id, o.owner, o.at, i,
               (%(levels)s::text[])[1 + i %% 10] AS level,
               (%(levels)s::text[])[1 + i %% 10] IN ('BUSINESS', 'IDEAS') AS public
        FROM unnest(%(ids)s::uuid[], %(owners)s::uuid[], %(times)s::timestamptz[], %(sizes)s::int[])
             AS o(id, owner, at, size)
        CROSS JOIN LATERAL generate_series(0, o.size - 1) AS i
    ) made JOIN texts ON texts.number = i %% %(texts)s ORDER BY id
"""
_AWARDS = """
    INSERT INTO extropy_ledger (user_id, card_id, operation_id, created_at, amount, reason)
    SELECT c.user_id, c.id, o.id, c.created_at, 1, 'card_published'
    FROM unnest(%(ids)s::uuid[]) AS o(id)
    JOIN cards c ON c.id BETWEEN (left(o.id::text, 30) || '000000')::uuid AND o.id
    WHERE c.is_published
"""
_OPERATIONS = """
    INSERT INTO operations (id, user_id, kind, state, max_parallel, total_items, part_count, options, result,
                            created_at, started_at, finished_at)
    SELECT id, owner, 'import', 'SUCCESS', 4, size, (size + %(part)s - 1) / %(part)s, '{}',
           jsonb_build_object('cards_imported', size), at, at, at + interval '1 second'
    FROM unnest(%(ids)s::uuid[], %(owners)s::uuid[], %(times)s::timestamptz[], %(sizes)s::int[])
         AS o(id, owner, at, size)
"""
_PARTS = """
    INSERT INTO operation_parts (operation_id, part_no, state, first_index, item_count, imported, finished_at)
    SELECT id, n, 'DONE', n * %(part)s, least(%(part)s, size - n * %(part)s),
           least(%(part)s, size - n * %(part)s), at
    FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(sizes)s::int[]) AS o(id, at, size)
    CROSS JOIN LATERAL generate_series(0, (size - 1) / %(part)s) AS n
"""


@dataclass(frozen=True, slots=True)
class _Operation:
    id: UUID
    owner: UUID
    at: datetime
    size: int


class Filling:
    """One database on its way to ever more cards. ``cards`` is how many were made so far."""

    def __init__(self, database: Database, most: int, *, seed: int = 2025) -> None:
        """``most``: the cards it will have in the end; the year is spread over them."""
        self.database = database
        self.cards = 0
        self._most = most
        self._chance = random.Random(seed)
        # The largest owner has about a tenth of all, most have little: sizes fall as 1/rank.
        self._owners = [UUID(int=self._chance.getrandbits(128), version=4) for _ in range(1_000)]
        self._weights = [1 / rank for rank in range(1, 1_001)]
        self._began = datetime.now(UTC) - _YEAR
        with database.connect() as connection, connection.cursor() as cursor:
            rows = [(owner, f"filling-{owner}") for owner in self._owners]
            cursor.executemany("INSERT INTO users (id, name) VALUES (%s, %s)", rows)

    def to(self, cards: int, say: Callable[[str], None] = lambda _: None) -> None:
        """Add operations until there are ``cards`` cards; then VACUUM, ANALYZE and a checkpoint."""
        began = time.monotonic()
        with self.database.connect() as connection:
            connection.execute("SET session_replication_role = replica")  # no triggers: no foreign keys
            connection.execute("SET work_mem = '256MB'")
            self._make_texts(connection)
            while self.cards < cards:
                batch = self._operations(min(_BATCH, cards - self.cards))
                self._insert(connection, batch)
                connection.commit()
                rate = sum(one.size for one in batch)
                self.cards += rate
                seconds = time.monotonic() - began
                if self.cards % 1_000_000 < rate or self.cards == cards:
                    say(f"filled {self.cards:,} of {cards:,} in {seconds:.0f} s")
            connection.execute(
                "UPDATE users u SET extropy_balance = s.total FROM (SELECT user_id, sum(amount) AS total "
                "FROM extropy_ledger GROUP BY user_id) s WHERE s.user_id = u.id"
            )
        self.database.settle("cards", "extropy_ledger", "operations", "operation_parts", "users")
        say(f"vacuumed and analysed after {time.monotonic() - began:.0f} s")

    def _make_texts(self, connection: psycopg.Connection[Any]) -> None:
        letters = "etaoinshrdlucmfwyp      "
        connection.execute(_TEXTS)
        with connection.cursor() as cursor:
            rows = [
                (
                    n,
                    "".join(self._chance.choices(letters, k=24)),
                    "".join(self._chance.choices(letters, k=BODY_CHARACTERS)),
                )
                for n in range(_COUNT_OF_TEXTS)
            ]
            cursor.executemany("INSERT INTO texts VALUES (%s, %s, %s)", rows)
        connection.execute("ANALYZE texts")

    def _operations(self, cards: int) -> list[_Operation]:
        made, left, before = [], cards, self.cards
        while left:
            size = min(left, 1 + int(self._chance.paretovariate(0.7) * 20) % LARGEST_OPERATION)
            at = self._began + _YEAR * ((before + cards - left) / self._most)
            owner = self._chance.choices(self._owners, self._weights)[0]
            made.append(_Operation(self._id(at), owner, at, size))
            left -= size
        return made

    def _id(self, at: datetime) -> UUID:
        """A UUIDv7 of that moment, with the low 24 bits set, as operations have."""
        milliseconds = int(at.timestamp() * 1000)
        value = milliseconds << 80 | 0x7 << 76 | self._chance.getrandbits(12) << 64
        value |= 0b10 << 62 | self._chance.getrandbits(62)
        return UUID(int=value | INDEX_MASK)

    def _insert(self, connection: psycopg.Connection[Any], batch: list[_Operation]) -> None:
        values = {
            "ids": [one.id for one in batch],
            "owners": [one.owner for one in batch],
            "times": [one.at for one in batch],
            "sizes": [one.size for one in batch],
            "levels": list(LEVELS),
            "texts": _COUNT_OF_TEXTS,
            "part": PART,
        }
        for statement in (_OPERATIONS, _PARTS, _CARDS, _AWARDS):
            connection.execute(statement.encode(), values)
