"""Sorting an archive's files by their names."""

from backend.formats.presets.archives import (
    account_file,
    page_key,
    path_in_vault,
    plan_notion,
    tweet_files,
    vault_roots,
)
from backend.formats.presets.obsidian_note import is_note

ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def test_a_vault_begins_where_its_settings_lie() -> None:
    roots = vault_roots(["My vault/.obsidian/app.json", "My vault/Projects/a.md", "b.md"])
    assert roots == ["My vault/"]
    assert path_in_vault("My vault/Projects/a.md", roots) == "Projects/a.md"
    assert path_in_vault("b.md", roots) == "b.md"


def test_a_vault_zipped_without_its_folder_keeps_its_paths() -> None:
    assert vault_roots([".obsidian/app.json", "Projects/a.md"]) == []


def test_of_two_vaults_the_inner_one_counts() -> None:
    roots = vault_roots(["out/.obsidian/x", "out/in/.obsidian/x"])
    assert path_in_vault("out/in/a.md", roots) == "a.md"


def test_notes_are_markdown_files_outside_of_hidden_folders() -> None:
    names = [
        "a.md",
        "b/C.MD",
        ".obsidian/x.md",
        "a/.trash/y.md",
        "__MACOSX/._a.md",
        "p.png",
        "b.canvas",
        "c.markdown",
    ]
    assert [name for name in names if is_note(name)] == ["a.md", "b/C.MD", "c.markdown"]


def test_the_parts_of_the_tweets_are_read_in_their_order() -> None:
    names = [
        "data/tweets-part10.js",
        "data/tweets-part2.js",
        "data/tweets.js",
        "data/deleted-tweets.js",
        "data/community-tweet.js",
        "assets/js/tweets.json",
        "__MACOSX/data/tweets.js",
    ]
    assert tweet_files(names) == ["data/tweets.js", "data/tweets-part2.js", "data/tweets-part10.js"]


def test_an_old_archive_has_one_tweet_file() -> None:
    assert tweet_files(["tweet.js", "like.js"]) == ["tweet.js"]
    assert account_file(["data/account.js", "data/account-suspension.js"]) == "data/account.js"
    assert account_file(["data/tweets.js"]) is None


def test_of_a_database_that_is_there_twice_the_whole_one_is_read() -> None:
    plan = plan_notion(
        [f"Books {ID}.csv", f"Books {ID}_all.csv", f"Books {ID}/Dune {ID}.md", f"Other {ID}.csv"]
    )
    assert plan.databases == [f"Books {ID}_all.csv", f"Other {ID}.csv"]
    assert plan.rows_of == {f"Books {ID}_all.csv": f"Books {ID}"}
    assert plan.database_of == {f"Books {ID}": f"Books {ID}_all.csv"}


def test_newer_exports_leave_the_id_out_of_the_folder() -> None:
    plan = plan_notion([f"Home/Books {ID}_all.csv", f"Home/Books/Dune {ID}.md"])
    assert plan.rows_of == {f"Home/Books {ID}_all.csv": "Home/Books"}


def test_the_parts_inside_an_export_come_in_their_order() -> None:
    plan = plan_notion(["Export-1-Part-10.zip", "Export-1-Part-2.zip", "index.html", "Export-1-Part-1.zip"])
    assert plan.parts == ["Export-1-Part-1.zip", "Export-1-Part-2.zip", "Export-1-Part-10.zip"]


def test_a_page_is_known_by_the_letters_of_its_title() -> None:
    assert page_key("Dune: Part One?") == page_key("Dune Part One") == "dunepartone"
    assert page_key("كتاب") != page_key("ספר")
