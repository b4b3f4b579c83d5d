"""``extrophi tokens``, ``migrate``, ``doctor``; every command without a server and with a wrong key."""

from __future__ import annotations

import json

import psycopg
import pytest

from backend.core.settings import Settings

CSV = b"title,body,category,privacy_level\nOne,1.,N,IDEAS\nTwo,2.,N,BUSINESS\nThree,3.,N,PRIVATE\n"
TALKING = [
    ("import", "-", "--format", "csv"), ("export",), ("operations",), ("status", "x"), ("cancel", "x"),
    ("errors", "x"), ("results", "x"), ("retry", "x"), ("undo", "x"), ("presets",), ("tokens", "balance"),
    ("tokens", "ledger"), ("delete", "019a0000-0000-7000-8000-000000ffffff"),
    ("restore", "019a0000-0000-7000-8000-000000ffffff"),
]  # fmt: skip


def test_balance_and_ledger_are_the_owners(run):
    run("import", "-", "--format", "csv", stdin=CSV)
    assert run("tokens", "balance").out == "2.00000000 $EXTROPY\n"
    assert run("tokens", "balance", "--json").document == {"balance": "2.00000000"}
    entries = run("tokens", "ledger", "--json").document["entries"]
    assert [(one["amount"], one["reason"]) for one in entries] == [("1.00000000", "card_published")] * 2
    assert entries[0]["card_id"] in run("tokens", "ledger").out
    assert len(run("tokens", "ledger", "--limit", "1", "--json").document["entries"]) == 1


def test_the_books_are_verified_and_what_is_off_is_named(run, stack):
    run("import", "-", "--format", "csv", stdin=CSV)
    assert run("tokens", "verify").out == "The books add up.\n"
    assert run("tokens", "verify", "--json").document == {"ok": True, "violations": []}
    wrong = "UPDATE users SET extropy_balance = extropy_balance {} 5 WHERE name = 'demo'"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(wrong.format("+"))
        try:
            done = run("tokens", "verify", "--json")
            shown = run("tokens", "verify")
        finally:
            connection.execute(wrong.format("-"))
    assert (done.status, shown.status) == (1, 1)
    assert [one["check"] for one in done.document["violations"]] == ["balance_differs_from_ledger"]
    assert "balance_differs_from_ledger" in shown.out


def test_migrating_what_is_newest_changes_nothing(run):
    done = run("migrate")
    assert (done.status, done.out) == (0, "The database has the newest schema.\n")


def test_the_doctor_finds_the_stack_well(run):
    done = run("doctor", "--json")
    assert done.status == 0, done.out
    found = {one["check"]: one["state"] for one in done.document}
    assert {name: found[name] for name in ("postgresql", "migrations", "redis", "workers")} == dict.fromkeys(
        ("postgresql", "migrations", "redis", "workers"), "ok"
    )
    assert "postgresql: version 18 answers" in run("doctor").out


def test_every_setting_is_listed_and_no_secret(run):
    rows = run("doctor", "--settings", "--json").document
    assert [row["name"] for row in rows] == [name.upper() for name in Settings.model_fields]
    assert {row["name"]: row["value"] for row in rows}["API_KEY_PEPPER"] == "(hidden)"
    assert all(row["description"] for row in rows)


@pytest.mark.parametrize("command", TALKING, ids=" ".join)
def test_a_server_that_is_not_there_is_one_line_and_exit_status_3(run, monkeypatch, command):
    monkeypatch.setenv("EXTROPHI_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client would try again for half a minute
    done = run(*command, "--json", stdin=CSV)
    assert done.status == 3
    assert done.document["error"]["code"] == "unreachable"
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", TALKING, ids=" ".join)
def test_a_wrong_key_is_one_line_and_exit_status_3(run, monkeypatch, command):
    monkeypatch.setenv("EXTROPHI_API_KEY", "extro_live_wrong")
    done = run(*command, "--json", stdin=CSV)
    assert done.status == 3
    assert json.loads(done.out)["error"]["detail"] == "Invalid or missing API key"


def test_the_running_stack_is_found_when_the_environment_says_nothing(run, monkeypatch, stack):
    monkeypatch.delenv("EXTROPHI_URL")
    monkeypatch.delenv("EXTROPHI_API_KEY")
    assert run("tokens", "balance").out.endswith(" $EXTROPY\n")


def test_without_any_server_it_says_how_to_get_one(run, monkeypatch, tmp_path):
    for name in ("EXTROPHI_URL", "EXTROPHI_API_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr("backend.embedded.running.running", list)
    for command in (("operations",), ("tokens", "verify"), ("keys", "list", "--user", "x")):
        done = run(*command)
        assert done.status == 3
        assert "extrophi up" in done.err


def test_an_unknown_command_is_exit_status_2(run):
    assert run("fly").status == 2
    assert run("import").status == 2
