"""Sample cards: the same for the same number, with texts of everyday length."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

# Of ten cards, four BUSINESS and two IDEAS are published; the rest stay private.
LEVELS = (
    "BUSINESS",
    "PRIVATE",
    "IDEAS",
    "BUSINESS",
    "PERSONAL",
    "BUSINESS",
    "THOUGHTS",
    "IDEAS",
    "BUSINESS",
    "JOURNAL",
)
PUBLISHED = frozenset({"BUSINESS", "IDEAS"})
TOPICS = (
    "momentum",
    "writing",
    "focus",
    "pricing",
    "habits",
    "teaching",
    "sleep",
    "markets",
    "memory",
    "craft",
)
SENTENCES = (
    "Small steps that are taken every day outrun big steps that are planned.",
    "Write the answer down before you look it up, then compare the two.",
    "A price says whom a thing is for long before the text does.",
    "What you can explain in one breath you have probably understood.",
    "Rest is part of the work, not the reward for it.",
    "Ask what would have to be true, and then whether it is.",
    "The second draft is where the first idea turns up.",
    "Keep the promise small enough to keep it on a bad day.",
)


def sample_cards(count: int) -> Iterator[dict[str, Any]]:
    """``count`` cards as ``POST /bulk/import`` takes them, about 500 bytes each."""
    levels = cycle(LEVELS)
    for index, level in enumerate(islice(levels, count)):
        topic = TOPICS[index % len(TOPICS)]
        body = " ".join(SENTENCES[(index * 3 + step) % len(SENTENCES)] for step in range(4))
        yield {
            "title": f"Note {index + 1} on {topic}",
            "body": f"{body} ({topic}, {index + 1})",
            "category": level if level in PUBLISHED else "NOTES",
            "privacy_level": level,
            "tags": [topic, f"set-{index % 7}"],
            "source_platform": "demo",
            "source_url": f"https://example.com/notes/{index + 1}",
            "metadata": {"number": index + 1},
        }


def published_among(count: int) -> int:
    """How many of the first ``count`` sample cards are published: one $EXTROPY each."""
    whole, rest = divmod(count, len(LEVELS))
    return whole * sum(level in PUBLISHED for level in LEVELS) + sum(
        level in PUBLISHED for level in LEVELS[:rest]
    )
