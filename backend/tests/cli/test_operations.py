"""``extrophi status``, ``operations``, ``cancel``, ``retry``, ``undo``, ``errors`` and ``results``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from backend.core.ids import new_operation_id

HEAD = b"title,body,category,privacy_level\n"
BAD = HEAD + b"Good,1.,N,IDEAS\nBad,2.,N,SECRET\nWorse,3.,N,HIDDEN\n"


@pytest.fixture
def failed(run: Any) -> str:
    """An import of which two cards of three failed."""
    return run("import", "-", "--format", "csv", "--json", stdin=BAD).document["task_id"]


def test_a_status_is_shown_and_watched_to_its_end(run, failed):
    shown = run("status", failed)
    assert shown.status == 0
    for text in ("SUCCESS", "cards failed", "Bad", "privacy_level"):
        assert text in shown.out
    watched = run("status", failed, "--watch", "--json")
    assert watched.document["result"]["cards_failed"] == 2
    assert "3/3" in watched.err


def test_operations_are_listed_newest_first_and_by_kind_and_state(run, failed):
    run("export", "-o", "-")
    kinds = [one["kind"] for one in run("operations", "--json").document["operations"]]
    assert kinds == ["export", "import"]
    assert failed in run("operations", "--kind", "import").out
    assert run("operations", "--status", "FAILURE", "--json").document == {"operations": []}
    assert len(run("operations", "--limit", "1", "--json").document["operations"]) == 1


def test_what_is_over_cannot_be_cancelled(run, failed):
    done = run("cancel", failed, "--json")
    assert done.status == 1
    assert done.document["error"]["code"]
    assert done.err.startswith("error: ")


def test_a_waiting_operation_is_cancelled(run, stack):
    """Enough of them that the last one cannot have begun."""
    lines = b"".join(b"Card %d,b,N,PRIVATE\n" % number for number in range(10_000))
    started = [
        run("import", "-", "--format", "csv", "--no-wait", stdin=HEAD + lines).out.strip() for _ in range(5)
    ]
    done = run("cancel", started[-1], "--json")
    assert done.status == 0, done.err
    final = run("status", started[-1], "--watch", "--json")
    assert (final.status, final.document["status"], final.document["error"]) == (1, "FAILURE", "Cancelled")
    assert run("status", started[0], "--watch").status == 0


def test_failed_cards_are_listed_with_their_reasons(run, failed):
    shown = run("errors", failed).out
    assert "Bad" in shown
    assert "Worse" in shown
    errors = run("errors", failed, "--json").document["errors"]
    assert [(one["index"], one["field"]) for one in errors] == [(1, "privacy_level"), (2, "privacy_level")]
    assert errors[0]["card"]["title"] == "Bad"


@pytest.mark.parametrize(
    "name", ["failed.csv", "failed.ndjson", "failed.json", "failed.md", "failed.markdown", "failed.zip"]
)
def test_the_file_of_failed_cards_can_be_mended_and_imported(run, failed, name):
    assert run("errors", failed, "-o", name).status == 0
    path = Path(name)
    if name == "failed.csv":
        assert [row["title"] for row in csv.DictReader(path.open())] == ["Bad", "Worse"]
    if name == "failed.zip":
        with ZipFile(path) as archive:
            notes = {one: archive.read(one) for one in archive.namelist()}
        assert len(notes) == 2
        with ZipFile(path, "w") as archive:
            for one, note in notes.items():
                archive.writestr(one, note.replace(b"SECRET", b"IDEAS"))
    else:
        path.write_text(path.read_text().replace("SECRET", "IDEAS"))
    again = run("import", name, "--json").document
    assert (again["result"]["cards_imported"], again["result"]["cards_failed"]) == (1, 1)


def test_failed_cards_go_to_standard_output(run, failed):
    lines = run("errors", failed, "--format", "ndjson").out.splitlines()
    assert [json.loads(line)["card"]["title"] for line in lines] == ["Bad", "Worse"]


def test_retry_tries_the_failed_cards_alone(run, failed):
    final = run("retry", failed, "--json").document
    assert (final["result"]["cards_imported"], final["result"]["cards_failed"]) == (0, 2)


def test_results_say_what_became_of_each_card(run, failed):
    results = run("results", failed, "--json").document["results"]
    assert [one["outcome"] for one in results] == ["created", "failed", "failed"]
    assert results[0]["card_id"] in run("results", failed).out
    assert "There are more" in run("results", failed, "--limit", "1").err


def test_undo_deletes_what_an_import_made_and_undone_brings_it_back(run, failed):
    undone = run("undo", failed, "--json").document
    assert undone["result"]["cards_deleted"] == 1
    assert run("undo", undone["task_id"], "--json").document["result"]["cards_restored"] == 1


@pytest.mark.parametrize("command", ["status", "cancel", "errors", "results", "retry", "undo"])
def test_an_unknown_operation_is_said_to_be_unknown(run, command):
    for wanted in (str(new_operation_id()), "nonsense", "../tokens/balance"):
        done = run(command, wanted)
        assert done.status == 1
        assert "not found" in done.err.lower()
        assert "Traceback" not in done.err
