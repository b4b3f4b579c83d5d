"""Each product's own files: every record becomes a card that is accepted, with each part in its place."""

from pathlib import Path
from typing import Any

import pytest

from backend.tests.formats.presets.running import imported
from backend.tests.formats.presets.zips import FIXTURES, tree, zipped


@pytest.fixture
def zip_file(tmp_path: Path) -> Any:
    def write(files: dict[str, bytes]) -> Path:
        path = tmp_path / "export.zip"
        path.write_bytes(zipped(files))
        return path

    return write


def test_readwise_reads_the_header_of_its_own_import_page() -> None:
    cards = imported("readwise", FIXTURES / "readwise/import_template.csv")
    assert len(cards) == 6
    assert cards[0] == {
        "title": "The Story of Philosophy",
        "body": "We are what we repeatedly do.\n\n**Note:** Often given to Aristotle, wrongly",
        "category": "HIGHLIGHTS",
        "privacy_level": "PRIVATE",
        "source_platform": "readwise",
        "created_at": "2023-01-15T08:30:00+00:00",
        "metadata": {"author": "Will Durant", "location": "74"},
    }
    assert cards[1]["body"] == 'A quote that runs\nacross two lines, and says "this"'
    assert cards[1]["source_url"] == "https://example.com/walks?id=7&lang=tr#part-2"
    assert cards[2]["title"] == cards[2]["body"] == "No title here at all"
    assert cards[3]["metadata"] == {
        "url": "not-a-link",
        "highlighted_at": "sometime in May",
        "location": "12",
    }
    assert cards[4]["title"] == "ديوان المتنبي"
    assert cards[5]["body"] == "The note stands alone"


def test_readwise_reads_what_it_exports() -> None:
    cards = imported("readwise", FIXTURES / "readwise/export.csv")
    assert [card["title"] for card in cards] == [
        "Obstacle, The (Book #1)",
        "This Inevitable Ruin",
        "Spreadsheet Tales",
        "ספר",
    ]
    assert cards[0]["tags"] == ["stoicism", "practice", "books", "to-reread"]
    assert cards[0]["created_at"] == "2024-05-01T10:00:00+00:00"
    assert cards[0]["metadata"] == {
        "author": "Ryan Holiday",
        "location": "1200",
        "location_type": "location",
        "color": "yellow",
        "amazon_book_id": "B00G3L1B8K",
    }
    assert cards[1]["body"] == "First paragraph of a long passage,\n\nand the second one after a blank line."
    assert cards[2]["body"] == "=SUM(A1:A9) is what he typed\n\n**Note:** -1 for style"
    assert cards[3]["body"] == "שָׁלוֹם עוֹלָם — hello, \u200fעולם\u200e 🌍"


def test_readwise_keeps_both_columns_of_one_name() -> None:
    cards = imported("readwise", FIXTURES / "readwise/duplicated_headers.csv")
    assert [card["title"] for card in cards] == ["One", "Two"]
    assert cards[0]["metadata"] == {"Title": "Another one", "Mood": "calm", "Mood (2)": "wild"}
    assert "metadata" not in cards[1]


def test_anki_reads_its_export_of_notes() -> None:
    cards = imported("anki", FIXTURES / "anki/notes.txt")
    assert len(cards) == 6
    assert cards[0] == {
        "title": "猫",
        "body": "cat\n(animal) & pet",
        "category": "Languages",
        "privacy_level": "PRIVATE",
        "source_platform": "anki",
        "external_id": "Q)b3kE~y#l",
        "tags": ["animal", "japanese::noun"],
        "metadata": {
            "deck": "Languages::Japanese::N5",
            "notetype": "Basic",
            "fields": ["<b>猫</b>", "cat<br>(animal) &amp; pet"],
        },
    }
    assert cards[1]["external_id"] == '#&xd"9?Qm'
    assert cards[1]["title"] == "#hash first"
    assert cards[1]["body"] == 'A field with a tab\tin it and\na line break, with "quotes"'
    assert cards[2]["title"] == "The capital of {{c1::France}} is {{c2::Paris::city}}."
    assert cards[2]["body"].endswith("\n\nIt lies on the Seine.")
    assert cards[2]["category"] == "ANKI"
    assert cards[3]["title"] == "![](paste-1a2b.jpg) [sound:waves.mp3]"
    assert cards[3]["body"] == "x < y && y > z"
    assert cards[4]["body"] == "- one\n- two\n\nlink (https://example.com/a?b=1&c=2) 🧪"
    assert cards[5]["category"] == "العربية"


def test_anki_reads_other_separators_without_touching_what_is_no_html() -> None:
    cards = imported("anki", FIXTURES / "anki/semicolon.txt")
    assert [card["title"] for card in cards] == [
        "What is <b> in HTML?",
        "field one; with a separator",
        "only the front",
        "5 < 6 & 7 > 3",
    ]
    assert cards[1]["body"] == 'field two with "escaped quotes" inside it\n\nextra'
    assert cards[0]["tags"] == ["html", "web", "imported", "from-file"]
    assert cards[0]["category"] == "My deck"


def test_anki_reads_files_from_before_there_were_headers() -> None:
    cards = imported("anki", FIXTURES / "anki/no_headers.txt")
    assert [(card["title"], card["body"]) for card in cards] == [
        ("Capital of Italy?", "Rome\nRoma\n\neurope"),
        ("Two", "Two\nlines\n\nanswer & more"),
    ]
    assert cards[0]["tags"] == ["old", "style"]


@pytest.mark.parametrize("prefix", ["", "My vault/"])
def test_obsidian_reads_a_vault(zip_file: Any, prefix: str) -> None:
    cards = {card["external_id"]: card for card in imported("obsidian", zip_file(tree("vault", prefix)))}
    assert set(cards) == {
        "obsidian:Inbox.md",
        "obsidian:Empty.md",
        "obsidian:Projects/Rocket.md",
        "idea-42",
        "obsidian:Projects/No front matter.md",
        "obsidian:يوميات/اليوم الأول 🌙.md",
        "obsidian:A very long folder name that goes well beyond the fifty characters/Note.md",
    }
    rocket = cards["obsidian:Projects/Rocket.md"]
    text = (FIXTURES / "vault/Projects/Rocket.md").read_text(encoding="utf-8")
    assert rocket.pop("body") == text.split("---\n", 2)[2]
    assert rocket.pop("tags") == [
        "project/active",
        "space",
        "build",
        "Build/stage-1",
        "start-of-line",
        "y1984",
        "日本語",
        "emoji🚀",
        "tag",
        "in-list",
        "nested-list",
        "quoted",
        "kept",
    ]
    assert rocket == {
        "title": "Rocket: the plan",
        "category": "Projects",
        "privacy_level": "PRIVATE",
        "source_platform": "obsidian",
        "source_url": "https://example.com/rockets#engines",
        "external_id": "obsidian:Projects/Rocket.md",
        "created_at": "2023-11-05T12:30:00+00:00",
        "metadata": {
            "path": "Projects/Rocket.md",
            "aliases": ["Launcher", "R-1"],
            "rating": 4.5,
            "due": "2024-02-30x",
            "reviewed": "2024-01-15",
            "publish": False,
        },
    }
    idea = cards["idea-42"]
    assert (idea["title"], idea["category"], idea["privacy_level"]) == ("Old idea", "Ideas", "thoughts")
    assert idea["created_at"] == "2023-03-04T00:00:00+00:00"
    assert idea["metadata"]["url"] == "ftp://example.com/file"
    assert idea["metadata"]["nested"] == {"deep": [1, {"a": None}]}
    assert idea["body"] == "\r\nBody after a blank line.\r\n"
    assert cards["obsidian:Inbox.md"]["category"] == "OBSIDIAN"
    assert "[[Projects/Rocket|a link]] and ![[picture.png]]" in cards["obsidian:Inbox.md"]["body"]
    assert cards["obsidian:Empty.md"]["body"] == ""
    assert cards["obsidian:Projects/No front matter.md"]["body"].startswith("--- not front matter\n")
    assert cards["obsidian:يوميات/اليوم الأول 🌙.md"]["tags"] == ["يوميات", "חול/שבת", "ذكرى"]
    long_one = cards["obsidian:A very long folder name that goes well beyond the fifty characters/Note.md"]
    assert len(long_one["category"]) <= 50


@pytest.mark.parametrize("nested", [False, True])
def test_notion_reads_its_markdown_and_csv_export(zip_file: Any, nested: bool) -> None:
    files = tree("notion", "Export-8f14e45f-ceea-467a-9af0-1d2c3b4a5968/Private & Shared/")
    if nested:
        files = {"Export-8f14e45f-ceea-467a-9af0-1d2c3b4a5968-Part-1.zip": zipped(files)}
    cards = {card["title"]: card for card in imported("notion", zip_file(files))}
    assert set(cards) == {
        "Dune",
        "Home 🏠",
        "Ideas",
        "Untitled",
        "A title, with a comma and a line break",
        "كتاب الرمل",
        "no title here",
    }
    dune = cards["Dune"]
    assert dune["body"] == "The spice must flow. #notatag\n\nNote: this line is text.\n"
    assert dune["tags"] == ["sci-fi", "classic"]
    assert dune["external_id"] == "00112233445566778899aabbccddeeff"
    assert dune["category"] == "Reading list"
    assert dune["created_at"] == "2024-01-05T15:04:00+00:00"
    assert dune["source_url"] == "https://example.com/dune"
    assert dune["metadata"]["Status"] == "Done"
    assert cards["Home 🏠"]["body"].startswith("Welcome: this paragraph\ngoes on")
    assert cards["Ideas"]["body"] == "- one\n- two\n"
    assert cards["Ideas"]["category"] == "Home"
    row = cards["A title, with a comma and a line break"]
    assert row["body"] == 'Left as it was: "unfinished" 📚'
    assert row["category"] == "Reading list"
    assert row["metadata"] == {"Status": "Reading"}


def test_notion_reads_the_csv_of_one_database() -> None:
    name = "Reading list 0f1e2d3c4b5a69788796a5b4c3d2e1f0_all.csv"
    cards = imported("notion", FIXTURES / "notion" / name)
    assert [card["title"] for card in cards] == [
        "Dune",
        "A title, with a comma and a line break",
        "كتاب الرمل",
        "no title here",
    ]
    assert cards[0]["tags"] == ["sci-fi", "classic"]
    assert {card["category"] for card in cards} == {"NOTION"}


def test_twitter_reads_tweets_js() -> None:
    cards = imported("twitter", FIXTURES / "twitter/data/tweets.js")
    assert cards[0]["body"] == "Fish & chips <3 at https://example.com/menu?x=1&y=2#top #London #food"
    assert cards[0]["title"] == cards[0]["body"]
    assert cards[0]["tags"] == ["London", "food"]
    assert cards[0]["external_id"] == "1050118621198921728"
    assert cards[0]["source_url"] == "https://twitter.com/i/web/status/1050118621198921728"
    assert cards[0]["created_at"] == "2018-10-10T20:19:24+00:00"
    assert cards[0]["category"] == "TWEETS"
    assert cards[0]["metadata"]["favorite_count"] == 12
    assert cards[0]["metadata"]["client"] == "Twitter Web App"
    assert cards[1]["body"] == "RT @nasa: We’re going back to the Moon 🚀 &amp; beyond…"
    assert cards[1]["metadata"]["retweet"] is True
    assert cards[2]["title"] == "@friend yes,"
    assert cards[2]["metadata"]["in_reply_to_screen_name"] == "friend"
    assert cards[2]["metadata"]["media"] == [
        "https://pbs.twimg.com/media/one.jpg",
        "https://pbs.twimg.com/media/two.jpg",
    ]


def test_twitter_reads_a_later_part() -> None:
    cards = imported("twitter", FIXTURES / "twitter/data/tweets-part1.js")
    assert [card["title"] for card in cards] == [
        "صباح الخير يا عالم #سلام ☀️",
        'Quotes "inside", a \\ backslash, braces } ] [ { and a newline:',
        "Tweet 1400000000000000003",
    ]


@pytest.mark.parametrize("prefix", ["", "twitter-2024-01-01-abc/"])
def test_twitter_reads_a_whole_archive_and_whose_it_is(zip_file: Any, prefix: str) -> None:
    cards = imported("twitter", zip_file(tree("twitter", prefix)))
    assert len(cards) == 6
    assert cards[0]["source_url"] == "https://twitter.com/ada_writes/status/1050118621198921728"
    assert not any("not mine" in card["body"] for card in cards)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("readwise", "readwise/export.csv"),
        ("anki", "anki/no_headers.txt"),
        ("twitter", "twitter/data/tweets.js"),
    ],
)
def test_the_callers_defaults_are_used_where_the_source_says_nothing(name: str, file: str) -> None:
    options = {"default_category": "Mine", "default_privacy_level": "IDEAS"}
    cards = imported(name, FIXTURES / file, options)
    assert {(card["category"], card["privacy_level"]) for card in cards} == {("Mine", "IDEAS")}
