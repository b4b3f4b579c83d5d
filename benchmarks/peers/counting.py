"""How many whole cards are in a file: looked up by parsing it, whoever wrote it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

# The fields of an export, which every side is asked for.
EXPORTED = (
    "id", "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url",
    "external_id", "metadata", "is_published", "published_url", "published_at", "created_at", "updated_at",
)  # fmt: skip
_FILLED = ("id", "title", "body", "category", "privacy_level", "tags", "source_url", "created_at")


def json_cards(path: Path) -> int:
    """Objects in a JSON array that have every field, and text where there must be some."""
    cards = json.loads(path.read_bytes())
    return sum(card.keys() >= set(EXPORTED) and all(card[name] for name in _FILLED) for card in cards)


def csv_cards(path: Path) -> int:
    """Rows of a CSV file that have text where there must be some. Metadata may have columns of its own."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not {*(reader.fieldnames or ())} >= {*EXPORTED} - {"metadata"}:
            return 0
        return sum(all(row[name] for name in _FILLED) for row in reader)


def lines(path: Path) -> int:
    """Rows of COPY's text format, which escapes line breaks."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


COUNTERS = {"json": json_cards, "csv": csv_cards}
