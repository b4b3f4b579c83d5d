"""Every command and example in the documents, run.

``sh`` and ``python`` blocks run against the stack, page by page; ``text`` blocks after them are what was
printed; ``sql`` blocks run on the stack's database. ``console`` blocks show what cannot be run in a test
(they start or stop everything, or need a container engine): of those, each command's program, target,
subcommand and options are looked up.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import psycopg
import pytest

from backend.tests.docs import compose, tables
from backend.tests.docs.pages import ROOT, RUN, Page, page, pages
from backend.tests.docs.running import is_printed, run

RUNNABLE = [one.name for one in pages() if one.blocks(*RUN)]
WITH_SQL = [one.name for one in pages() if one.blocks("sql")]
# Commands of others, which are known to exist.
FOREIGN = {"docker", "curl", "git", "export", "pg_dump", "pg_restore"}


@pytest.mark.integration
@pytest.mark.parametrize("name", RUNNABLE)
def test_the_commands_of_a_page_do_what_it_says(name, stack, tmp_path):
    if name == "README.md":
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "extrophi").symlink_to(Path(sys.executable).with_name("extrophi"))
    blocks = page(name).blocks(*RUN, "text")
    done = run(blocks, stack, tmp_path)
    assert done.status == 0, f"{name}:{done.failed_line}\n{done.errors}\n{done.printed}"
    step = -1
    for block in blocks:
        if block.language != "text":
            step += 1
        elif not is_printed(block.text, done.printed[step]):
            raise AssertionError(
                f"{name}:{block.line}: expected\n{block.text}\nprinted\n{done.printed[step]}"
            )


@pytest.mark.integration
@pytest.mark.parametrize("name", WITH_SQL)
def test_the_queries_of_a_page_run(name, stack):
    with psycopg.connect(stack.database_url) as connection:
        for block in page(name).blocks("sql"):
            connection.execute(block.text).fetchall()


def shown_commands() -> list[tuple[str, list[str]]]:
    found = []
    for one in pages():
        for block in one.blocks("console"):
            for line in block.text.splitlines():
                assert line.startswith("$ "), f"{one.name}:{block.line}: {line}"
                words = shlex.split(line[2:], comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                found.append((f"{one.name}:{block.line}", words))
    return found


SHOWN = shown_commands()


@pytest.mark.parametrize(("place", "words"), SHOWN, ids=[f"{p} {' '.join(w)}" for p, w in SHOWN])
def test_a_command_that_is_only_shown_exists(place, words):
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif program == "extrophi":
        assert_known([program, *words[1:]])
    elif program == "docker" and "api" in words:
        assert "api" in compose.load()["services"]
        assert_known(words[words.index("api") + 1 :])
    elif program == "docker" and any("=" in word for word in words):
        assert words[-1].partition("=")[0] in compose.load()["services"]
    elif program == "python":
        assert (ROOT / words[1]).is_file()
    elif program == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if "/" in word)
    elif program in ("uvicorn", "celery"):
        assert " ".join([program, *words[1:3]]) in (
            "uvicorn main:app --host",
            "celery -A backend.queue.celery_app",
        )
    else:
        assert program in FOREIGN, place


def assert_known(words: list[str]) -> None:
    """An ``extrophi`` command line: the command exists and has these options."""
    name, command = max(
        (pair for pair in tables.commands() if f"{' '.join(words)} ".startswith(f"{pair[0]} ")),
        key=lambda pair: len(pair[0]),
    )
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    assert given <= known, name


def test_what_is_printed_is_compared_line_by_line():
    assert is_printed("a…c\nlast", "first\nabc\nmore\nlast\n")
    assert not is_printed("last\na…c", "first\nabc\nmore\nlast\n")
    assert not is_printed("ab", "abc")


def test_a_page_that_fails_is_noticed(stack, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```sh\ntrue\n```\n\n```sh\nextrophi nonsense\n```\n")
    done = run(Page(path).blocks(*RUN), stack, tmp_path)
    assert (done.status, done.failed_line) == (2, 5)
