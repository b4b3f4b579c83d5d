"""Processes: dying with the parent, asking about a pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from backend.core.process import carrying, end_all, is_alive, wait_gone, working_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has these")


@pytest.fixture
def sleeper(tmp_path):
    process = subprocess.Popen(
        ["sleep", "60"], cwd=tmp_path, env={"MARK": f"of {tmp_path}", "PATH": os.environ["PATH"]}
    )
    yield process
    process.kill()
    process.wait()


def test_a_process_dies_with_its_parent(tmp_path):
    child = (
        "from backend.core.process import die_with_parent; die_with_parent(); print('set', flush=True)\n"
        "import time; time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, text=True)\n"
        "assert child.stdout.readline() == 'set\\n'\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert is_alive(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    assert wait_gone([pid], 5) == []


def test_a_child_whose_parent_is_already_gone_ends_at_once():
    program = (
        "from backend.core.process import die_with_parent; die_with_parent(parent=1); print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_zombie_is_not_alive(sleeper):
    assert is_alive(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(sleeper.pid)


def test_a_stopped_process_is_alive(sleeper):
    sleeper.send_signal(signal.SIGSTOP)
    time.sleep(0.05)
    assert is_alive(sleeper.pid)


def test_waiting_returns_those_that_stay(sleeper):
    assert wait_gone([sleeper.pid], 0.1) == [sleeper.pid]


def test_processes_are_found_by_folder_and_program(sleeper, tmp_path):
    assert working_in(tmp_path, ("sleep",)) == [sleeper.pid] or working_in(tmp_path, ("coreutils",)) == [
        sleeper.pid
    ]
    assert working_in(tmp_path, ("postgres",)) == []
    assert working_in(tmp_path / "other", ("sleep",)) == []


def test_processes_are_found_by_their_environment(sleeper, tmp_path):
    assert carrying("MARK", f"of {tmp_path}") == [sleeper.pid]
    assert carrying("MARK", "of") == []


def test_what_ignores_the_polite_signal_is_killed(tmp_path):
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    process.stdout.readline()
    end_all([process.pid], polite=signal.SIGTERM, grace_seconds=0.2)
    assert process.wait(5) == -signal.SIGKILL
    process.stdout.close()
