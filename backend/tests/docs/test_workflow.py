"""The workflow calls what a contributor calls; the audit says what it knows and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from backend.tests.docs.pages import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())


def test_every_change_is_checked_by_the_one_script():
    assert {"push", "pull_request"} <= set(WORKFLOW[True])  # YAML 1.1 reads "on" as true
    runs = [step.get("run") for step in WORKFLOW["jobs"]["test"]["steps"]]
    assert ".ci/run" in runs
    assert any(run and run.startswith(".github/audit") for run in runs)


def test_the_workflow_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in WORKFLOW["jobs"].values())


def audit(program: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".github/audit", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_advisory_database_out_of_reach_is_said_in_one_line_per_lock():
    program = Path(sys.executable).with_name("pip-audit")
    if not program.exists():
        pytest.skip("pip-audit is not installed")
    nowhere = "http://127.0.0.1:9"
    done = audit(program, HTTPS_PROXY=nowhere, HTTP_PROXY=nowhere, ALL_PROXY=nowhere, https_proxy=nowhere)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) == 2, done.stdout
    assert all("NOT AUDITED, the advisory database cannot be reached" in line for line in lines)


def test_a_known_weakness_fails_the_audit(tmp_path):
    program = tmp_path / "pip-audit"
    program.write_text('#!/bin/sh\necho "Found 1 known vulnerability in 1 package"\nexit 1\n')
    program.chmod(0o755)
    done = audit(program)
    assert done.returncode == 1
    assert "Found 1 known vulnerability" in done.stdout
