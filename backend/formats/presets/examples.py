"""A small literal input per preset and the card it becomes, shown by ``GET /bulk/presets``.

A test runs each input through its preset, so that the cards here are never out of date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """``file`` is the file's name (inside of the zip where there is one), ``text`` its content."""

    file: str
    text: str
    card: dict[str, Any]


EXAMPLES: dict[str, Example] = {
    "readwise": Example(
        "readwise-data.csv",
        "Highlight,Title,Author,URL,Note,Location,Date\n"
        '"We are what we repeatedly do.",The Story of Philosophy,Will Durant,,Misattributed,74,2023-01-15\n',
        {
            "title": "The Story of Philosophy",
            "body": "We are what we repeatedly do.\n\n**Note:** Misattributed",
            "category": "HIGHLIGHTS",
            "privacy_level": "PRIVATE",
            "source_platform": "readwise",
            "created_at": "2023-01-15T00:00:00+00:00",
            "metadata": {"author": "Will Durant", "location": "74"},
        },
    ),
    "anki": Example(
        "Selected Notes.txt",
        "#separator:tab\n#html:true\n#guid column:1\n#deck column:2\n#tags column:5\n"
        "kx9Tz3Yb2q\tLanguages::Japanese\t<b>猫</b>\tcat<br>(animal)\tanimal noun\n",
        {
            "title": "猫",
            "body": "cat\n(animal)",
            "category": "Languages",
            "privacy_level": "PRIVATE",
            "source_platform": "anki",
            "external_id": "kx9Tz3Yb2q",
            "tags": ["animal", "noun"],
            "metadata": {"deck": "Languages::Japanese", "fields": ["<b>猫</b>", "cat<br>(animal)"]},
        },
    ),
    "obsidian": Example(
        "Projects/Rocket.md",
        "---\ntags: [space]\ncreated: 2023-11-05\n---\nSee [[Engines]]. #project/active\n",
        {
            "title": "Rocket",
            "body": "See [[Engines]]. #project/active\n",
            "category": "Projects",
            "privacy_level": "PRIVATE",
            "source_platform": "obsidian",
            "external_id": "obsidian:Projects/Rocket.md",
            "created_at": "2023-11-05T00:00:00+00:00",
            "tags": ["space", "project/active"],
            "metadata": {"path": "Projects/Rocket.md"},
        },
    ),
    "notion": Example(
        "Reading list/Dune 00112233445566778899aabbccddeeff.md",
        "# Dune\n\nTags: sci-fi, classic\nStatus: Done\n\nThe spice must flow.\n",
        {
            "title": "Dune",
            "body": "The spice must flow.\n",
            "category": "Reading list",
            "privacy_level": "PRIVATE",
            "source_platform": "notion",
            "external_id": "00112233445566778899aabbccddeeff",
            "tags": ["sci-fi", "classic"],
            "metadata": {
                "Status": "Done",
                "path": "Reading list/Dune 00112233445566778899aabbccddeeff.md",
            },
        },
    ),
    "twitter": Example(
        "data/tweets.js",
        'window.YTD.tweets.part0 = [{"tweet": {"id_str": "1050118621198921728", '
        '"created_at": "Wed Oct 10 20:19:24 +0000 2018", "full_text": "Fish &amp; chips #London", '
        '"entities": {"hashtags": [{"text": "London"}]}}}]\n',
        {
            "title": "Fish & chips #London",
            "body": "Fish & chips #London",
            "category": "TWEETS",
            "privacy_level": "PRIVATE",
            "source_platform": "twitter",
            "source_url": "https://twitter.com/i/web/status/1050118621198921728",
            "external_id": "1050118621198921728",
            "created_at": "2018-10-10T20:19:24+00:00",
            "tags": ["London"],
        },
    ),
}
