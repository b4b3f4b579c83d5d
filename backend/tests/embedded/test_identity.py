"""Root's fallback where the kernel forbids user namespaces: a system account."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest

from backend.core.errors import Unavailable
from backend.embedded import postgres
from backend.embedded.identity import account_identity, launch_command, reachable_programs, server_identity
from backend.embedded.postgres import EmbeddedPostgres

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")


@pytest.fixture
def account(monkeypatch):
    identity = account_identity()
    monkeypatch.setattr(postgres, "server_identity", lambda: identity)
    return identity


def test_postgresql_runs_as_the_account_and_answers(account):
    folder = Path(tempfile.mkdtemp(prefix="extrophi account "))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", log=folder / "log")
    try:
        server.start()
        assert psutil.Process(server.child.pid).uids().real == account.uid
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_a_folder_that_the_account_cannot_reach_is_a_clear_error(account):
    folder = Path(tempfile.mkdtemp(prefix="extrophi private "))
    try:
        server = EmbeddedPostgres(folder / "postgres", log=folder / "log")
        with pytest.raises(Unavailable, match="Choose a --data-dir outside private folders"):
            server.start()
    finally:
        shutil.rmtree(folder)


def test_in_a_user_namespace_files_stay_roots(tmp_path):
    if server_identity().word != "namespace":
        pytest.skip("user namespaces are not available")
    server = EmbeddedPostgres(tmp_path / "postgres", log=tmp_path / "log")
    server.start()
    try:
        assert (server.folder / "PG_VERSION").stat().st_uid == 0
    finally:
        server.stop()


def test_programs_that_the_account_cannot_read_are_copied_where_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    package = tmp_path / "private" / "package"
    (package / "install" / "bin").mkdir(parents=True)
    (package / "install" / "bin" / "postgres").write_text("#!/bin/sh\necho copied\n")
    (package / "install" / "bin" / "postgres").chmod(0o700)
    (package.with_name("package.libs")).mkdir()
    (package.with_name("package.libs") / "lib.so").write_text("library")
    (tmp_path / "private").chmod(0o700)
    place = Path(tempfile.mkdtemp(prefix="extrophi copies "))
    place.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    try:
        identity = account_identity()
        copied = reachable_programs(package / "install" / "bin", identity)
        assert copied.is_relative_to(place)
        command = launch_command([str(copied / "postgres")], orphan_signal=9, identity=identity.word)
        assert subprocess.run(command, capture_output=True, text=True).stdout == "copied\n"
        assert (copied.parents[2] / "package.libs" / "lib.so").read_text() == "library"
    finally:
        shutil.rmtree(place)
