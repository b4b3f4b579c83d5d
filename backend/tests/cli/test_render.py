"""What is shown: nothing that a card holds moves the cursor, retitles the terminal or is read as markup."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from backend.cli import render
from backend.tests.support.hostile import PIECES

HOSTILE = "a\x1b[2Jb\x1b]0;title\x07\x9b31m\u202eabc\u2028\r\n\t[red]x[/]\x00\x7f"
UNSAFE = {chr(code) for code in [*range(32), 127, *range(128, 160), 0x2028, 0x2029, 0x202E]}


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", [HOSTILE, *PIECES, "\ud800", "x" * 10_000])
def test_a_cell_is_one_harmless_line(text):
    shown = render.clean(text)
    assert not set(shown) & UNSAFE
    assert len(shown) <= 200 * 10
    shown.encode()


def test_tables_facts_and_messages_show_text_as_text(capsys):
    render.table(("title",), [[HOSTILE]])
    render.facts({HOSTILE: HOSTILE, "list": [HOSTILE]}, title=HOSTILE)
    render.say(HOSTILE)
    written = capsys.readouterr()
    for stream in (written.out, written.err):
        assert "[red]x[/]" in stream
        assert not (set(stream) - {"\n"}) & UNSAFE


def test_a_document_is_ascii_and_the_same_when_read(capsys):
    render.document({"title": HOSTILE})
    render.streamed_document("rows", [{"title": HOSTILE}])
    out = capsys.readouterr().out
    assert out.isascii()
    assert not (set(out) - {"\n"}) & UNSAFE
    first, _, second = out.partition("\n}\n")
    assert json.loads(first + "}") == {"title": HOSTILE}
    assert json.loads(second) == {"rows": [{"title": HOSTILE}]}


def test_a_file_goes_down_a_pipe_byte_for_byte(capfdbinary, tmp_path, monkeypatch):
    path = tmp_path / "cards.md"
    path.write_bytes(HOSTILE.encode() + b"\xff\xfe")
    with open(1, "w", closefd=False) as out:
        monkeypatch.setattr(sys, "stdout", out)
        render.file(path)
    assert capfdbinary.readouterr().out == path.read_bytes()


def test_a_file_on_a_terminal_is_text_without_controls(monkeypatch, tmp_path):
    path = Path(tmp_path, "cards.md")
    path.write_bytes(("x" * 65_535 + HOSTILE).encode() + b"\xff")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    render.file(path)
    shown = terminal.getvalue()
    assert not (set(shown) - {"\n", "\t"}) & UNSAFE
    assert r"\x1b[2Jb" in shown
    assert shown.endswith("\ufffd")
