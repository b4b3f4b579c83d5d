"""``extrophi keys`` on a real database: one run as a process of its own, the others in this one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from backend.auth import lookup
from backend.cli.main import main
from backend.core.errors import Unauthenticated

EXTROPHI = str(Path(sys.executable).with_name("extrophi"))


@dataclass(frozen=True)
class Done:
    """What a run of the program left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(autouse=True)
def program(database, monkeypatch, capsys):
    """Makes ``run`` work: the program's ``main`` with other arguments."""
    lookup.forget()
    _current.update(monkeypatch=monkeypatch, capsys=capsys)
    yield
    _current.clear()


_current: dict = {}


def run(*arguments: str) -> Done:
    _current["monkeypatch"].setattr(sys, "argv", ["extrophi", "keys", *arguments])
    _current["capsys"].readouterr()
    code = 0
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code or 0
    written = _current["capsys"].readouterr()
    return Done(code, written.out, written.err)


def made(*arguments: str) -> dict:
    done = run("create", "--user", "ada", "--name", "laptop", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_key_is_made_with_its_user_and_works():
    found = made()
    assert set(found) == {"id", "key", "prefix", "user"}
    assert found["user"] == "ada"
    who = lookup.authenticate(found["key"])
    assert (str(who.key_id), who.user_name) == (found["id"], "ada")
    assert "admin" not in who.scopes


def test_quiet_prints_the_key_alone_so_that_a_script_can_take_it():
    command = [EXTROPHI, "keys", "create", "--user", "ada", "--name", "k", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1
    assert lookup.authenticate(done.stdout.strip())


def test_scopes_expiry_and_limits_are_as_asked(database):
    found = made(
        "--scope", "cards:read", "--scope", "admin", "--expires", "90d", "--limit", "cards_per_hour=7"
    )
    who = lookup.authenticate(found["key"])
    assert who.scopes == {"cards:read", "admin"}
    assert who.limits == {"cards_per_hour": 7}
    assert abs(who.expires_at - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=2)
    assert lookup.authenticate(made("--expires", "2099-01-31")["key"]).expires_at.year == 2099


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scope", "everything"), ("--expires", "soon"), ("--expires", "2001-01-01"), ("--limit", "cards=1"),
        ("--limit", "cards_per_hour=x"), ("--expires", "999999w"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_made(database, arguments):
    done = run("create", "--user", "ada", "--name", "k", *arguments)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


def test_a_list_shows_every_key_and_no_secret():
    first, second = made(), made()
    done = run("list", "--user", "ada", "--json")
    assert [key["id"] for key in json.loads(done.stdout)["keys"]] == [second["id"], first["id"]]
    shown = run("list", "--user", "ada")
    assert shown.returncode == 0
    for key in (first["key"], second["key"]):
        assert key not in done.stdout + shown.stdout
    assert run("list", "--user", "nobody").returncode == 1


def test_a_revoked_key_no_longer_works():
    found = made()
    assert run("revoke", found["id"]).returncode == 0
    with pytest.raises(Unauthenticated):
        lookup.authenticate(found["key"])
    assert json.loads(run("list", "--user", "ada", "--json").stdout)["keys"][0]["state"] == "revoked"


def test_a_rotated_key_is_replaced_with_or_without_an_overlap():
    old = made()
    new = json.loads(run("rotate", old["id"], "--overlap", "1h", "--json").stdout)
    assert lookup.authenticate(old["key"])
    assert lookup.authenticate(new["key"])
    last = run("rotate", new["id"], "--overlap", "0s", "--quiet").stdout.strip()
    with pytest.raises(Unauthenticated):
        lookup.authenticate(new["key"])
    assert lookup.authenticate(last)


@pytest.mark.parametrize("command", [("revoke", "x"), ("rotate", "x"), ("rotate", "x", "--overlap", "long")])
def test_a_thing_that_is_no_id_is_refused(command):
    done = run(*command)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_unknown_key_is_said_to_be_unknown():
    done = run("revoke", "01937b2e-7d3a-7c4e-9f00-3b1c2dffffff")
    assert done.returncode == 1
    assert "not found" in done.stderr


def test_what_an_operator_does_stands_in_the_audit_log(database):
    found = made()
    run("revoke", found["id"])
    with psycopg.connect(database) as connection:
        lines = connection.execute(
            "SELECT action, target, details->>'by' FROM audit_log ORDER BY id"
        ).fetchall()
    assert lines == [("key.create", found["id"], "command line"), ("key.revoke", found["id"], "command line")]
