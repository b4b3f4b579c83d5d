"""``extrophi import``, ``export``, ``delete`` and ``restore`` on the running stack."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

CSV = (
    b"title,body,category,privacy_level\nOne,First.,N,IDEAS\nTwo,Second.,N,BUSINESS\nThree,Third.,M,PRIVATE\n"
)
BAD = CSV + b"Four,Fourth.,N,SECRET\n"


def imported(run: Any, content: bytes = CSV) -> dict[str, Any]:
    done = run("import", "-", "--format", "csv", "--json", stdin=content)
    assert done.status == 0, done.err
    return done.document


def ids(run: Any, operation: str) -> list[str]:
    return [line["card_id"] for line in run("results", operation, "--json").document["results"]]


def exported(run: Any, *options: str) -> list[dict[str, Any]]:
    done = run("export", "-o", "-", *options)
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_a_file_is_imported_and_the_figures_are_shown(run):
    Path("cards.csv").write_bytes(CSV)
    done = run("import", "cards.csv")
    assert done.status == 0, done.err
    assert "cards imported" in done.out
    assert "2.00000000" in done.out
    assert "sending" in done.err  # the bars
    assert "3/3" in done.err


def test_standard_input_is_imported_and_json_is_the_status_answer(run):
    status = imported(run)
    assert status["status"] == "SUCCESS"
    assert status["result"]["cards_imported"] == 3
    assert set(status) == {"task_id", "status", "result", "completed_at"}


def test_a_compressed_file_is_known_by_its_name(run):
    Path("cards.csv.gz").write_bytes(gzip.compress(CSV))
    assert run("import", "cards.csv.gz", "--json").document["result"]["cards_imported"] == 3


def test_bad_cards_are_named_and_strict_makes_them_a_failure(run):
    done = run("import", "-", "--format", "csv", stdin=BAD)
    assert done.status == 0
    assert "privacy_level must be one of" in done.out
    assert "1 failed. All of them, as sent: extrophi errors" in done.err
    assert run("import", "-", "--format", "csv", "--strict", stdin=BAD).status == 1


def test_a_dry_run_says_what_would_happen_and_changes_nothing(run):
    done = run("import", "-", "--format", "csv", "--dry-run", "--json", stdin=CSV)
    assert done.document["result"]["cards_imported"] == 3
    assert exported(run) == []


def test_a_preview_shows_cards_and_imports_nothing(run):
    done = run("import", "-", "--format", "csv", "--preview", "--json", stdin=CSV)
    assert [row["card"]["title"] for row in done.document["rows"]] == ["One", "Two", "Three"]
    assert run("operations", "--json").document == {"operations": []}


def test_options_reach_the_import(run):
    done = run("import", "-", "--format", "csv", "--no-publish-ideas", "--json", stdin=CSV)
    assert done.document["result"]["cards_published"] == 1
    status = run("import", "-", "--format", "csv", "--error-policy", "reject_everything", "--json", stdin=BAD)
    assert status.status == 1
    assert status.document["status"] == "FAILURE"


def test_without_waiting_the_id_alone_is_printed(run):
    done = run("import", "-", "--format", "csv", "--no-wait", stdin=CSV)
    operation = done.out.strip()
    assert run("status", operation, "--watch", "--json").document["result"]["cards_imported"] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "nothing.csv"), "is not a file"),
        (("import", "."), "is not a file"),
        (("import", "-"), "--format"),
        (("import", "-", "--format", "xml"), "xml"),
        (("export", "--json", "-o", "-"), "both want standard output"),
        (("delete",), "No card ids given"),
        (("delete", "x"), "not a card id"),
        (("restore", "x"), "not a card id"),
        (("delete", "019a0000-0000-7000-8000-000000ffffff", "--hard"), "--yes"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_status_2(run, arguments, says):
    done = run(*arguments)
    assert done.status == 2
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["json", "ndjson", "csv", "markdown", "zip"])
def test_an_export_is_a_file_that_can_be_imported_again(run, name):
    imported(run)
    done = run("export", "--format", name, "--json")
    assert done.status == 0, done.err
    path = Path(done.document["file"])
    assert path.stat().st_size == done.document["result"]["file_size_bytes"]
    assert done.document["result"]["cards_exported"] == 3
    again = run("import", str(path), "--json")
    assert again.document["result"]["cards_imported"] == 3, again.out


def test_filters_of_an_export(run):
    cards = ids(run, imported(run)["task_id"])
    assert [card["title"] for card in exported(run, "--privacy-level", "IDEAS")] == ["One"]
    assert [card["title"] for card in exported(run, "--category", "m")] == ["Three"]
    assert [card["title"] for card in exported(run, "--published-only")] == ["One", "Two"]
    Path("ids").write_text(f"{cards[1]}\n")
    assert [card["id"] for card in exported(run, "--ids-from", "ids")] == [cards[1]]
    assert "metadata" not in exported(run, "--no-metadata")[0]


def test_a_compressed_export_goes_down_a_pipe_as_it_is(run, tmp_path):
    imported(run)
    run("export", "--compression", "gzip", "-o", "cards.json.gz")
    assert len(json.loads(gzip.decompress(Path("cards.json.gz").read_bytes()))) == 3


def test_what_is_deleted_softly_comes_back_and_what_is_deleted_for_good_does_not(run):
    cards = ids(run, imported(run)["task_id"])
    deleted = run("delete", cards[0], cards[1], "--json").document
    assert deleted["result"]["cards_deleted"] == 2
    assert [card["id"] for card in exported(run)] == [cards[2]]
    restored = run("restore", "-", "--json", stdin=f"{cards[0]},{cards[1]}".encode()).document
    assert restored["result"]["cards_restored"] == 2
    assert [card["id"] for card in exported(run)] == cards
    gone = run("delete", cards[0], "--hard", "--yes", "--json").document
    assert gone["result"]["soft_delete"] is False
    again = run("restore", cards[0], "--json").document
    assert again["result"]["cards_failed"] == 1


def test_ids_beyond_ten_thousand_go_in_several_operations(run):
    Path("ids").write_text("\n".join(f"019a0000-0000-7000-8000-{number:012x}" for number in range(10_001)))
    done = run("delete", "--file", "ids", "--no-wait", "--json")
    assert len(done.document["operations"]) == 2


def test_the_presets_are_listed(run):
    names = {one["name"] for one in run("presets", "--json").document["presets"]}
    assert {"readwise", "anki", "obsidian", "notion", "twitter"} <= names
    assert "readwise" in run("presets").out
