"""Cards whose text is made to break whoever writes or reads them carelessly."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from backend.cards import store
from backend.cards.reading import read_card
from backend.cards.schema import CardIn
from backend.core.ids import new_operation_id
from backend.db.session import unit_of_work

PIECES = (
    "plain words", "=1+1", "+1", "-1", "@cmd", "\t=x", "\r=x", "'", "''", "'=", "=", "'x", "\"", "\"\"",
    "\",\"", ",", ";", "\n", "\r\n", "\r", "\n\n", "---", "\n---\n", "---\ntitle: no\n---\n",
    "\n---\n\n", "body_bytes: 3", "```", "# Head", "\u0085", "\u2028", "\u2029", "\ufeff", "\u200b",
    "\u202e", "\x01", "\x1f", "\x7f", "\u009f", "\x0b", "\x0c", "é", "é", "漢字", "🏳️\u200d🌈", "𝔘",
    "\U0010ffff", "\uffff", "\ufffe", "\ue000", "עברית", "العربية", "ﷺ", "İ", "ß", "\\", "\\n",
    "\\u0000", "\\.", "\\N", "NULL", "null", "true", "1e400", "0", "{", "}", "[", "]", "{}", "[1]",
    "$$", "%s", "%(id)s", "{0}", "&amp;", "<b>", "  ", " ", "\u00a0", "a b", "key: value", "- item",
    "!!python", "*", "&a",
)  # fmt: skip
LEVELS = ("PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS")
NUMBERS = (0, -1, 1, 2**53, 2**63, 10**30, 0.1, -0.0, 1e-7, 1.5e300, 123456789.123456789)


def cards(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Valid cards, the same for the same seed."""
    source = random.Random(seed)
    return [_card(source) for _ in range(count)]


def text(source: random.Random, most: int = 6) -> str:
    """Pieces behind one another; often one alone."""
    return "".join(source.choices(PIECES, k=source.choice((1, 1, 2, 3, most))))


def _card(source: random.Random) -> dict[str, Any]:
    card: dict[str, Any] = {
        "title": text(source)[:1000],
        "body": "" if source.random() < 0.05 else text(source, 40),
        "category": text(source, 3)[:50],
        "privacy_level": source.choice(LEVELS),
    }
    if source.random() < 0.7:
        card["tags"] = [text(source, 3)[:100] for _ in range(source.choice((0, 1, 2, 5)))]
    if source.random() < 0.05:
        card["tags"] = ["", " ", "a,b", "null"]
    for name in ("source_platform", "external_id"):
        if source.random() < 0.5:
            card[name] = text(source, 3)[:100]
    if source.random() < 0.5:
        card["source_url"] = f"https://example.org/{source.randrange(10**6)}?q='=\"é"
    if source.random() < 0.6:
        card["metadata"] = _object(source, 3)
    if source.random() < 0.5:
        moment = datetime(1, 1, 4, tzinfo=UTC) + timedelta(
            days=source.randrange(3_600_000), microseconds=source.choice((0, 1, 500_000, 999_999))
        )
        card["created_at"] = moment.isoformat()
    return card


def _object(source: random.Random, depth: int) -> dict[str, Any]:
    return {text(source, 2): _value(source, depth - 1) for _ in range(source.choice((0, 1, 2, 4)))}


def _value(source: random.Random, depth: int) -> Any:
    kind = source.randrange(7)
    if kind == 0 and depth > 0:
        return _object(source, depth)
    if kind == 1 and depth > 0:
        return [_value(source, depth - 1) for _ in range(source.randrange(4))]
    if kind == 2:
        return source.choice(NUMBERS)
    if kind == 3:
        return source.choice((True, False, None))
    return text(source)


def insert(owner: UUID, given: list[dict[str, Any]] | list[CardIn], *, part: int = 2_000) -> UUID:
    """Cards into an account as an import puts them there. Returns the operation's id."""
    operation = new_operation_id()
    now = datetime.now(UTC)
    builder = store.RowBuilder(owner, operation, frozenset({"BUSINESS", "IDEAS"}), "https://extrophi.ai", now)
    rows = []
    for index, one in enumerate(given):
        card = one if isinstance(one, CardIn) else read_card(json.dumps(one).encode())
        assert isinstance(card, CardIn), (card, one)
        rows.append(builder.row(index, card))
    for start in range(0, len(rows), part):
        with unit_of_work() as connection:
            store.insert(connection, owner, [store.CopyData.of(rows[start : start + part])])
    return operation
