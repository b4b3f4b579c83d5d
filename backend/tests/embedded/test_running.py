"""How later commands find the stack that is running."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from backend.core.errors import Conflict
from backend.core.settings import get_settings
from backend.embedded import running
from backend.embedded.running import RunningStack, adopt_running_stack

NAMES = ("DATABASE_URL", "REDIS_URL", "DATA_DIR", "API_KEY_PEPPER")


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    for name in NAMES:
        os.environ.pop(name, None)
    get_settings.cache_clear()


def runs(folder: Path, pid: int | None = None) -> RunningStack:
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "pepper").write_text(f"pepper of {folder.name}\n")
    stack = RunningStack(
        url="http://127.0.0.1:1",
        api_key="k",
        database_url=f"postgresql://x/{folder.name}",
        redis_url=f"redis://x/{folder.name}",
        data_dir=str(folder),
        pids={"supervisor": pid or os.getpid()},
    )
    stack.write(folder / running.STATE_FILE)
    return stack


def announced(stack: RunningStack) -> RunningStack:
    running.announce(stack)
    return stack


def test_nothing_changes_when_nothing_runs():
    assert adopt_running_stack() is None
    assert "DATABASE_URL" not in os.environ


def test_the_stack_on_the_data_folder_is_adopted_with_its_secret(tmp_path, monkeypatch):
    stack = runs(tmp_path / "mine")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "mine"))
    get_settings.cache_clear()
    assert adopt_running_stack() == stack
    assert get_settings().database_url == stack.database_url
    assert get_settings().redis_url == stack.redis_url
    assert get_settings().api_key_pepper.get_secret_value() == "pepper of mine"


def test_the_only_stack_of_this_user_is_adopted_from_any_folder(tmp_path):
    stack = announced(runs(tmp_path / "elsewhere"))
    assert adopt_running_stack() == stack
    running.withdraw()
    assert running.running() == []


def test_several_stacks_are_a_question_not_a_guess(tmp_path):
    announced(runs(tmp_path / "one"))
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        runs(tmp_path / "two", pid=sleeper.pid)
        pointers = tmp_path / f"extrophi-{os.geteuid()}"
        (pointers / f"{sleeper.pid}.json").write_text(f'{{"data_dir": "{tmp_path / "two"}"}}')
        assert len(running.running()) == 2
        with pytest.raises(Conflict, match="Several stacks are running"):
            adopt_running_stack()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_killed_stack_is_not_running(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = tmp_path / "dead"
    runs(folder, pid=ended.pid)
    assert running.read(folder) is None


def test_the_secret_of_a_given_database_is_found_by_its_url(tmp_path, monkeypatch):
    stack = announced(runs(tmp_path / "one"))
    monkeypatch.setenv("DATABASE_URL", stack.database_url)
    get_settings.cache_clear()
    assert adopt_running_stack() == stack
    assert get_settings().api_key_pepper.get_secret_value() == "pepper of one"


def test_a_given_database_that_no_stack_uses_is_left_alone(tmp_path, monkeypatch):
    announced(runs(tmp_path / "one"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/db")
    assert adopt_running_stack() is None
    assert "API_KEY_PEPPER" not in os.environ
    assert os.environ["DATABASE_URL"] == "postgresql://elsewhere/db"


def test_a_pointer_folder_that_others_can_write_is_not_trusted(tmp_path):
    folder = tmp_path / f"extrophi-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    runs(tmp_path / "planted")
    (folder / f"{os.getpid()}.json").write_text(f'{{"data_dir": "{tmp_path / "planted"}"}}')
    folder.chmod(0o777)
    assert running.running() == []
    assert adopt_running_stack() is None
