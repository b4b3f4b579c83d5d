"""The documented load tests, run as documented."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from backend.tests.docs.pages import ROOT
from backend.tests.support.stack import Stack


def run(stack: Stack, script: str, *arguments: str) -> str:
    environment = {**os.environ, "EXTROPHI_URL": stack.url, "EXTROPHI_API_KEY": stack.api_key}
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("count", ["1", "10000", "10500"])
def test_the_import_load_test_checks_its_counts(stack: Stack, count: str) -> None:
    shown = run(stack, "load_test_bulk_import.py", "--cards", count)
    for word in ("cards/s", "p50", "p95", "p99", "SUCCESS"):
        assert word in shown
    assert "WRONG" not in shown


@pytest.mark.parametrize("format", ["json", "markdown", "csv", "ndjson", "zip"])
def test_the_export_load_test_checks_its_counts(stack: Stack, format: str) -> None:
    shown = run(stack, "load_test_bulk_export.py", "--format", format, "--cards", "1000")
    assert "cards/s" in shown
    assert "WRONG" not in shown


@pytest.mark.integration
def test_without_a_running_stack_a_load_test_starts_and_ends_one_of_its_own(tmp_path):
    taken = {"EXTROPHI_URL", "EXTROPHI_API_KEY", "DATABASE_URL", "REDIS_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in taken}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "load_test_bulk_import.py", "--cards", "100"],
        env=environment | {"TMPDIR": str(tmp_path), "DATA_DIR": str(tmp_path / "none")},
        cwd=tmp_path, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert list(tmp_path.glob("load-test-*")) == []
    assert [pid for pid in psutil.pids() if str(tmp_path) in command_of(pid)] == []


def command_of(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
