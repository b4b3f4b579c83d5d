"""Failpoints: off unless they are on, and then at their own name alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

from backend.core import failpoints
from backend.core.errors import Unavailable
from backend.core.settings import get_settings
from backend.tests.docs.pages import ROOT


@pytest.fixture
def on(monkeypatch):
    """Switches one on."""

    def switch(setting: str) -> None:
        monkeypatch.setenv("FAILPOINT", setting)
        get_settings.cache_clear()

    yield switch
    monkeypatch.delenv("FAILPOINT", raising=False)
    get_settings.cache_clear()


def test_every_name_is_passed_somewhere_and_no_other():
    passed = {
        name
        for path in (ROOT / "backend").rglob("*.py")
        if "tests" not in path.parts
        for name in re.findall(r'\bhit\(\s*"([\w.]+)"', path.read_text())
    }
    assert passed == set(failpoints.NAMES)


def test_off_it_does_nothing(monkeypatch):
    monkeypatch.delenv("FAILPOINT", raising=False)
    get_settings.cache_clear()
    for name in failpoints.NAMES:
        failpoints.hit(name)


def test_one_that_raises_is_transient_and_the_others_pass(on):
    on("run.after_work:raise")
    failpoints.hit("run.before_commit")
    with pytest.raises(Unavailable) as caught:
        failpoints.hit("run.after_work")
    assert caught.value.transient


def test_with_a_file_it_happens_once_in_all_processes(on, tmp_path):
    on(f"run.after_work:raise:{tmp_path / 'once'}")
    with pytest.raises(Unavailable):
        failpoints.hit("run.after_work")
    failpoints.hit("run.after_work")


def test_one_that_sleeps_sleeps(on):
    on("run.after_work:sleep=0.2")
    began = time.monotonic()
    failpoints.hit("run.after_work")
    assert time.monotonic() - began >= 0.2


def test_one_that_kills_ends_the_process_at_once():
    code = "from backend.core.failpoints import hit; hit('run.after_work'); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"FAILPOINT": "run.after_work:kill"}, capture_output=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
