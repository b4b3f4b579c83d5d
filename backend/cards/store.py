"""The cards table: insert a part, find duplicates, delete, restore. Always for one owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Connection, text

from backend.cards.owners import looked_up_once
from backend.cards.rules import fingerprint, slug_bytes
from backend.cards.schema import CardIn, metadata_bytes
from backend.core.ids import short_card
from backend.db import copy_binary as c
from backend.db.arrays import text_array, uuid_array
from backend.db.copy_wire import copy_rows
from backend.db.session import driver

_COLUMNS = (
    "id, user_id, fingerprint, updated_at, created_at, is_published, published_at, published_url, title, "
    "body, category, privacy_level, tags, source_platform, source_url, external_id, metadata"
)
_COPY = f"COPY cards ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_UNPUBLISHED = c.FALSE + c.NULL + c.NULL
_FINGERPRINT_PIECE, _URL_PIECE, _NO_URL = 3, 7, b""
_STATEMENTS = 8  # of a part's COPY, about
_KEPT = 1_000  # different values of one kind that are kept encoded


class Row(Struct, frozen=True, gc=False):
    """One card on its way into the table. ``data`` is its encoded COPY row."""

    index: int
    number: int  # the id as a number: a third of its size
    fingerprint: bytes
    card: CardIn
    published_url: str | None
    data: bytes

    @property
    def id(self) -> UUID:
        return UUID(int=self.number)


class CopyData(Struct, frozen=True, gc=False):
    """COPY rows of some cards, encoded one behind the other."""

    data: bytes
    cards: int
    published: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> CopyData:
        """These rows, together."""
        published = sum(row.published_url is not None for row in rows)
        return cls(b"".join([row.data for row in rows]), len(rows), published)


class RowBuilder:
    """Turns valid cards of one part into COPY rows; what is equal for many of them is encoded once."""

    def __init__(
        self, owner: UUID, operation_id: UUID, published_levels: frozenset[str], base_url: str, now: datetime
    ) -> None:
        self._operation = operation_id.int & ~0xFFFFFF
        self._short = b"-%b" % short_card(operation_id, 0)[:-6].encode()
        self._levels = published_levels
        self._base = base_url.rstrip("/").encode() + b"/cards/"
        self._head = c.fields(17) + c.length(16)
        self._owner = c.raw(owner.bytes) + c.length(16)
        self._now = c.timestamptz(now)
        self._published = c.TRUE + self._now
        self._words = _Encoded(c.text)  # categories, levels, platforms
        tags = _Encoded(c.text)
        self._tags = _Encoded(lambda names: c.text_array([tags[name] for name in names]))

    def batch(self, cards: Iterable[tuple[int, CardIn]]) -> CopyData:
        """Cards with their indexes as rows that are only to be sent."""
        pieces = self._pieces(cards)
        published = sum([one[_URL_PIECE] is not _NO_URL for one in pieces])
        return CopyData(b"".join(chain.from_iterable(pieces)), len(pieces), published)

    def row(self, index: int, card: CardIn) -> Row:
        """One card with all that follows from it."""
        pieces = self._pieces(((index, card),))[0]
        url = None if pieces[_URL_PIECE] is _NO_URL else pieces[_URL_PIECE].decode()
        return Row(index, self._operation | index, pieces[_FINGERPRINT_PIECE], card, url, b"".join(pieces))

    def _pieces(self, cards: Iterable[tuple[int, CardIn]]) -> list[tuple[bytes, ...]]:
        """Apply the publishing rules and encode. A loop over locals: it runs for every card there is."""
        pieces = list[tuple[bytes, ...]]()
        operation, short, base, levels = self._operation, self._short, self._base, self._levels
        head, owner, now, published = self._head, self._owner, self._now, self._published
        words, tags, length, text = self._words, self._tags, c.length, c.text
        for index, card in cards:
            title, body, metadata = card.title.encode(), card.body.encode(), metadata_bytes(card)
            url, publishing = _NO_URL, _UNPUBLISHED
            if card.privacy_level in levels:
                url = b"%b%b%b%06x" % (base, slug_bytes(card.title), short, index)
                publishing = published + length(len(url))
            pieces.append(
                (
                    head,
                    (operation | index).to_bytes(16, "big"),
                    owner,
                    fingerprint(title, body, card.external_id or None),
                    now,
                    c.timestamptz(card.created_at) if card.created_at else now,
                    publishing,
                    url,
                    length(len(title)),
                    title,
                    length(len(body)),
                    body,
                    words[card.category],
                    words[card.privacy_level],
                    tags[tuple(card.tags)] if card.tags else c.EMPTY_TEXT_ARRAY,
                    words[card.source_platform or None],
                    text(card.source_url or None),
                    text(card.external_id or None),
                    length(len(metadata) + 1),
                    c.JSONB_VERSION,
                    metadata,
                )
            )
        return pieces


class _Encoded(dict[Any, bytes]):
    """Fields that many cards have in common, by value; those seen first are kept, so memory is bounded."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        self._encode = encode

    def __missing__(self, value: Any) -> bytes:
        data = self._encode(value)
        if len(self) < _KEPT:
            self[value] = data
        return data


def insert(connection: Connection, owner: UUID, batches: Iterable[CopyData], count: int = 1) -> None:
    """COPY rows of one owner into cards as they come, in the caller's transaction. Raises what PostgreSQL
    raises; the caller rolls back then, to a savepoint from before this at least.

    Args:
        count: number of batches, where it is known: fewer round trips then.
    """
    size = max(1, count // _STATEMENTS)
    rows = ([batch.data] for batch in batches)
    together = -(-count // size)
    copy_rows(driver(connection), _COPY, rows, size=size, together=together, around=looked_up_once(owner))


# One look-up in (user_id, fingerprint) per key, whatever the planner knows. To one that has not heard of the
# owner yet, walking (user_id, id) looks as cheap, and is not: a part would read all of the owner's cards per
# key. It has no choice where rows must come in the order of fingerprints; and a range of one keeps it from
# seeing that they are all equal. OFFSET 0 keeps the order from being dropped.
_SAME = text(
    """
    SELECT f.key AS fingerprint, same.id FROM unnest(CAST(:keys AS uuid[])) AS f(key)
    CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT id FROM cards
            WHERE cards.user_id = :owner AND cards.fingerprint BETWEEN f.key AND f.key
              AND cards.deleted_at IS NULL
            ORDER BY cards.fingerprint OFFSET 0
        ) AS equal ORDER BY id LIMIT 1
    ) AS same
    """
)
# By id: see removal.py for IS TRUE.
_UPDATE = text(
    """
    UPDATE cards SET
        title = n.title, body = n.body, category = n.category, privacy_level = n.privacy_level,
        tags = CAST(n.tags AS text[]), source_platform = n.source_platform, source_url = n.source_url,
        metadata = CAST(n.metadata AS jsonb),
        created_at = coalesce(n.created_at, cards.created_at), updated_at = :now,
        is_published = n.url IS NOT NULL,
        published_url = CASE WHEN n.url IS NULL THEN NULL ELSE coalesce(cards.published_url, n.url) END,
        published_at = coalesce(cards.published_at, CASE WHEN n.url IS NOT NULL THEN :now END),
        changed_xid = pg_current_xact_id()
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:titles AS text[]), CAST(:bodies AS text[]), CAST(:categories AS text[]),
        CAST(:levels AS text[]), CAST(:tags AS text[]), CAST(:platforms AS text[]), CAST(:urls AS text[]),
        CAST(:metadata AS text[]), CAST(:created AS timestamptz[]), CAST(:published AS text[])
    ) AS n(id, title, body, category, privacy_level, tags, source_platform, source_url, metadata,
           created_at, url)
    WHERE cards.id = n.id AND (cards.user_id = :owner) IS TRUE
    """
)


def find_same(connection: Connection, owner: UUID, keys: Sequence[bytes]) -> dict[bytes, UUID]:
    """The oldest living card of the owner for each fingerprint that has one."""
    found = connection.execute(_SAME, {"owner": owner, "keys": uuid_array(key.hex() for key in keys)})
    return {row.fingerprint.bytes: row.id for row in found}


def update(connection: Connection, owner: UUID, changes: Sequence[tuple[UUID, Row]], now: datetime) -> int:
    """Overwrite cards with what was sent; a URL once published stays. Returns how many."""
    if not changes:
        return 0
    cards = [row.card for _, row in changes]
    values: dict[str, Any] = {
        "owner": owner,
        "now": now,
        "ids": [card_id for card_id, _ in changes],
        "titles": [card.title for card in cards],
        "bodies": [card.body for card in cards],
        "categories": [card.category for card in cards],
        "levels": [card.privacy_level for card in cards],
        "tags": [text_array(card.tags or []) for card in cards],
        "platforms": [card.source_platform or None for card in cards],
        "urls": [card.source_url or None for card in cards],
        "metadata": [metadata_bytes(card).decode() for card in cards],
        "created": [card.created_at or None for card in cards],
        "published": [row.published_url for _, row in changes],
    }
    return connection.execute(_UPDATE, values).rowcount
