"""Sample cards of about 900 bytes of JSON, and the same cards as ready rows for a raw COPY.

The same seed gives the same cards. Texts are made of words whose frequencies fall like a language's
(Zipf), so that they compress about as texts do; some carry what must be escaped or is not ASCII.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from backend.core.ids import card_id, short_card
from backend.core.settings import get_settings

# Of ten cards, four BUSINESS and two IDEAS are published and awarded.
LEVELS = ("BUSINESS", "PRIVATE", "IDEAS", "BUSINESS", "PERSONAL", "BUSINESS", "THOUGHTS", "IDEAS", "BUSINESS",
          "JOURNAL")  # fmt: skip
PUBLISHED = frozenset({"BUSINESS", "IDEAS"})
BODY_WORDS = 125
# The columns that an import writes; the rest are defaults. A raw COPY fills the same ones.
COLUMNS = (
    "id", "user_id", "fingerprint", "updated_at", "created_at", "is_published", "published_at",
    "published_url", "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url",
    "external_id", "metadata",
)  # fmt: skip
COPY = f"COPY cards ({', '.join(COLUMNS)}) FROM STDIN"


class Cards:
    """``count`` cards. ``raws`` are their JSON objects, one per card."""

    def __init__(self, count: int, seed: int = 2025) -> None:
        self.raws = [json.dumps(card, ensure_ascii=False).encode() for card in _cards(count, seed)]

    def __len__(self) -> int:
        return len(self.raws)

    @cached_property
    def dicts(self) -> list[dict[str, Any]]:
        """As Python values."""
        return [json.loads(raw) for raw in self.raws]

    @property
    def published(self) -> int:
        """How many of them an import publishes, and awards one token for."""
        return sum(card["privacy_level"] in PUBLISHED for card in self.dicts)

    def body(self) -> bytes:
        """The body of ``POST /bulk/import``."""
        return b'{"cards":[' + b",".join(self.raws) + b'],"publish_business":true,"publish_ideas":true}'

    def write_ndjson(self, path: Path) -> Path:
        """One card per line."""
        with path.open("wb") as file:
            file.writelines(raw + b"\n" for raw in self.raws)
        return path

    def copy_lines(self, owner: UUID, operation_id: UUID, now: datetime) -> list[bytes]:
        """The rows that an import of these cards writes, as lines for ``COPY`` in text format."""
        base = get_settings().public_base_url + "/cards/"
        moment = now.isoformat()
        lines = []
        for index, card in enumerate(self.dicts):
            url = None
            if card["privacy_level"] in PUBLISHED:
                url = f"{base}{_slug(card['title'])}-{short_card(operation_id, index)}"
            values = (
                str(card_id(operation_id, index)), str(owner),
                _fingerprint(card["title"].encode(), card["body"].encode()),
                moment, moment, "t" if url else "f", moment if url else None, url,
                card["title"], card["body"], card["category"], card["privacy_level"],
                _array(card["tags"]), card["source_platform"], card["source_url"],
                None, json.dumps(card["metadata"], ensure_ascii=False),
            )  # fmt: skip
            lines.append(("\t".join(map(_field, values)) + "\n").encode())
        return lines


def raw_copy(connection: psycopg.Connection[Any], lines: list[bytes], per_transaction: int) -> None:
    """The limit of an import: COPY of ready rows, so many per transaction, and nothing else."""
    for start in range(0, len(lines), per_transaction):
        with connection.cursor() as cursor, cursor.copy(COPY.encode()) as copy:
            copy.write(b"".join(lines[start : start + per_transaction]))
        connection.commit()


def _cards(count: int, seed: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    words = _vocabulary(chance, 2_000)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    # One long text, each body a stretch of it: choosing every word anew takes ten times as long.
    text = chance.choices(words, cum_weights=weights, k=500_000)
    for index in range(count):
        start = chance.randrange(len(text) - BODY_WORDS)
        body = " ".join(text[start : start + BODY_WORDS])
        third = len(body) // 3
        level = LEVELS[index % len(LEVELS)]
        yield {
            "title": f"{' '.join(words[index % 1_900 : index % 1_900 + 5]).capitalize()} {index}",
            "body": f'{body[:third]}.\n\n"{body[third : 2 * third]}" — é\n\n{body[2 * third :]}',
            "category": level,
            "privacy_level": level,
            "tags": [words[index % 50], words[50 + index % 70]],
            "source_platform": "benchmark",
            "source_url": f"https://example.com/notes/{index}",
            "metadata": {"number": index, "list": words[index % 100]},
        }


def _vocabulary(chance: random.Random, size: int) -> list[str]:
    """Different words of two to ten letters, the frequent ones short."""
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < size:
        most = 1 + min(4, len(words) // 60)
        words["".join(chance.choices(syllables, k=chance.randint(1, most)))] = None
    return list(words)


def _field(value: str | None) -> str:
    """A value in COPY's text format."""
    if value is None:
        return r"\N"
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        for character, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
            value = value.replace(character, escape)
    return value


# As the engine writes them for these cards, which have plain titles and tags and no external_id. Apart from
# its code, so that the limit does not change when the engine does; a test holds the rows of the two equal.


def _fingerprint(title: bytes, body: bytes) -> str:
    size = len(title).to_bytes(4, "big")
    return blake2b(size + title + body, digest_size=16, person=b"content").hexdigest()


def _slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower())[:60].strip("-")


def _array(values: list[str]) -> str:
    return "{" + ",".join(values) + "}"
