"""Root's fallback where the kernel forbids user namespaces: a system account."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest

from backend.core.errors import Unavailable
from backend.embedded import postgres
from backend.embedded.identity import account_identity, server_identity
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
