"""Text made to harm whoever shows it, stored as it is and shown harmlessly: files, pages, terminal, logs."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from backend.cli import render
from backend.tests.support.live import live_api
from backend.tests.support.service import InProcess, done, get, send

ESCAPES = "\x1b[31m\x1b]0;owned\x07\x1b[2J\x9b1m\u202etxt.exe\u2028\r\x08\x7f[red]markup[/red]"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
FORMULAS = ('=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-1+1", "@SUM(1)", "\t=1", "\r=1", "'=1")
PATHS = ("../../etc/passwd", "..\\..\\x", "C:\\x", "/etc/passwd", "a/b", ".", "..", "CON", "a\0b"[:1], "x\ny")
BREAKOUTS = (
    "---\ntitle: other\n---\n",
    "x\n---\n\nsecond: document\n",
    "body_bytes: 3\n---\n",
    "...\n--- !!x",
)
HOSTILE = (ESCAPES, SCRIPT, *FORMULAS, *PATHS, *BREAKOUTS)


def card(text: str, **more: Any) -> dict[str, Any]:
    plain = {"title": text, "body": text, "category": text[:50] or "c", "privacy_level": "BUSINESS"}
    return plain | {"tags": [text[:100]], "source_platform": text[:100], "metadata": {text: text}} | more


@pytest.fixture
def service(database: str) -> InProcess:
    """An account with every hostile text in every field."""
    made = InProcess(database)
    result = done(made, send(made, "/bulk/import", {"cards": [card(text) for text in HOSTILE]}))["result"]
    assert result["cards_failed"] == 0, result
    return made


def exported(service: InProcess, format: str) -> bytes:
    answer = get(service, "/cards/export", params={"format": format})
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer.content


# --- files ----------------------------------------------------------------------------------------------


def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(service: InProcess) -> None:
    rows = list(csv.reader(io.StringIO(exported(service, "csv").decode("utf-8-sig"), newline="")))
    assert len(rows) == 1 + len(HOSTILE)
    for row in rows:
        assert [cell for cell in row if cell[:1] in tuple("=+-@\t\r") and cell[:1]] == []
    assert {row[rows[0].index("title")] for row in rows[1:]} >= {f"'{text}" for text in FORMULAS}


def test_no_cell_of_an_errors_file_is_either(service: InProcess) -> None:
    bad = [card(text, privacy_level="NO") for text in FORMULAS]
    task = done(service, send(service, "/bulk/import", {"cards": bad}))["task_id"]
    text = get(service, f"/bulk/operations/{task}/errors", params={"format": "csv"}).content.decode(
        "utf-8-sig"
    )
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 1 + len(FORMULAS)
    for row in rows:
        assert [cell for cell in row if cell[:1] in tuple("=+-@\t\r") and cell[:1]] == []


def test_no_text_breaks_out_of_its_front_matter(service: InProcess) -> None:
    """As many cards come back as went out, each with its own title and body."""
    file = exported(service, "markdown")
    other = InProcess(service.database)
    headers = other.headers | {"Content-Type": "text/markdown"}
    result = done(other, other.http.post("/bulk/import", content=file, headers=headers))["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (len(HOSTILE), 0)
    back = json.loads(exported(other, "json"))
    assert [(one["title"], one["body"]) for one in back] == [(text, text) for text in HOSTILE]


def test_names_in_a_zip_stay_inside_and_are_plain(service: InProcess, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(exported(service, "zip")))
    names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(names) == len(HOSTILE)
    for name in names:
        assert re.fullmatch(r"[\w.-]+\.md", name, re.ASCII), name
        assert not name.startswith(".")
        for kind in (PurePosixPath, PureWindowsPath):
            assert kind(name).parts == (name,)
            assert not kind(name).is_absolute()
        assert not PureWindowsPath(name).is_reserved()
    archive.extractall(tmp_path / "out")
    assert len(list(tmp_path.rglob("*.md"))) == len(HOSTILE)


# --- pages and answers ----------------------------------------------------------------------------------


def test_no_answer_is_a_page_that_a_browser_would_run(service: InProcess) -> None:
    """Text of cards comes back as JSON or as a file to keep; what an address holds comes back nowhere."""
    task = done(service, send(service, "/bulk/import", {"cards": [card(SCRIPT, privacy_level=SCRIPT)]}))[
        "task_id"
    ]
    told = [
        get(service, f"/bulk/status/{task}"),
        get(service, f"/bulk/operations/{task}/errors"),
        get(service, "/bulk/operations"),
    ]
    assert any(SCRIPT in answer.text for answer in told)
    for answer in told:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    for path in (
        f"/{SCRIPT}",
        f"/docs/{SCRIPT}",
        f"/bulk/status/{SCRIPT}",
        f"/bulk/operations?kind={SCRIPT}",
    ):
        answer = get(service, path)
        assert answer.status_code in (404, 422), path
        assert "script" not in answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/docs", "/metrics", "/openapi.json"):
        assert SCRIPT not in get(service, path).text


# --- the terminal ---------------------------------------------------------------------------------------


def is_harmless(shown: str) -> bool:
    """Nothing in it moves a cursor, retitles a terminal or turns the reading direction."""
    return all(c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"} for c in shown)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_of_a_cell_reaches_the_terminal_as_a_control(text: str) -> None:
    shown = render.clean(text)
    assert is_harmless(shown.replace("\u200c", "").replace("\u200d", ""))
    assert "\n" not in shown
    assert len(shown) <= 10 * render.CELL_CHARACTERS


def test_tables_of_the_command_line_show_escapes_and_do_not_obey_them(service: InProcess) -> None:
    user = service.query("SELECT name FROM users")[0][0]
    bad = [card(ESCAPES, privacy_level="NO"), card(ESCAPES) | {ESCAPES: 1}, {"title": ESCAPES}]
    task = done(service, send(service, "/bulk/import", {"cards": bad}))["task_id"]
    service.query("UPDATE api_keys SET name = %s RETURNING id", ESCAPES)
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    environment |= {"EXTROPHI_API_KEY": service.headers["Authorization"].split()[1], "COLUMNS": "300"}
    commands = (["status", task], ["errors", task], ["operations"], ["keys", "list", "--user", user])
    with live_api() as port:
        environment["EXTROPHI_URL"] = f"http://127.0.0.1:{port}"
        for command in commands:
            program = [str(Path(sys.executable).with_name("extrophi")), *command]
            run = subprocess.run(program, env=environment, capture_output=True, timeout=120)
            shown = run.stdout.decode() + run.stderr.decode()
            assert run.returncode == 0, ascii(shown)
            assert is_harmless(shown), ascii(shown)
            if command != ["operations"]:
                assert "\\x1b[31m" in shown
                assert "[red]markup" in shown


# --- logs -----------------------------------------------------------------------------------------------


FORGED = f"fine\n2026-01-01 00:00:00 [error    ] forged{ESCAPES}\nforged"


def test_a_log_line_is_one_line_whatever_is_in_it(logged: Callable[[], str]) -> None:
    structlog.get_logger("ours").warning(FORGED, title=FORGED, several=[FORGED], more={FORGED: FORGED})
    logging.getLogger("somebody's").error("about %s", FORGED)
    text = logged()
    assert len(text.splitlines()) == len(text.split("\n")) - 1 == 2
    assert is_harmless(text)
    assert "forged" in text


def test_the_text_of_an_exception_forges_no_line_either(logged: Callable[[], str]) -> None:
    for name in ("ours", "somebody's"):
        try:
            raise ValueError(FORGED)
        except ValueError:
            if name == "ours":
                structlog.get_logger(name).exception("failed")
            else:
                logging.getLogger(name).exception("failed")
    text = logged()
    assert is_harmless(text)
    assert text.count("ValueError") >= 2
    for line in text.splitlines():
        assert not re.match(r"(2026-01-01|forged)", line), line
    if text.startswith("{"):
        assert len(text.splitlines()) == 2
