"""The embedded PostgreSQL, on every version that is at hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from backend.core.errors import Unavailable
from backend.core.process import is_alive, wait_gone, working_in
from backend.core.settings import get_settings
from backend.db import migrate, session
from backend.embedded.binaries import postgres_bin
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.tuning import postgres_settings


def versions() -> list[int]:
    found = []
    for version in (15, 16, 17, 18):
        try:
            folder = postgres_bin(version)
        except Unavailable:
            continue
        printed = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
        if printed.split()[2].startswith(f"{version}."):
            found.append(version)
    return found


@pytest.fixture
def server(tmp_path: Path):
    one = EmbeddedPostgres(tmp_path / "a folder" / "postgres", log=tmp_path / "postgres.log")
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize("version", versions())
def test_the_migrations_run_on_every_version_at_hand(tmp_path, version, monkeypatch):
    server = EmbeddedPostgres(tmp_path / "pg", log=tmp_path / "log", version=version)
    server.start()
    try:
        monkeypatch.setenv("DATABASE_URL", server.ensure_database("extrophi"))
        get_settings.cache_clear()
        migrate.upgrade()
        migrate.check()
        with psycopg.connect(server.url("extrophi")) as connection:
            shown = connection.execute("SHOW server_version").fetchone()[0]
            assert connection.execute("SELECT lower('ÄÖÉ')").fetchone() == ("äöé",)
            assert connection.execute("SELECT count(*) FROM cards").fetchone() == (0,)
        assert shown.startswith(f"{version}.")
    finally:
        session.dispose()
        get_settings.cache_clear()
        server.stop()


def test_the_server_runs_with_every_setting_of_the_table(server):
    with psycopg.connect(server.url()) as connection:
        shown = dict(connection.execute("SELECT name, source FROM pg_settings").fetchall())
    assert {shown[setting.name.lower()] for setting in postgres_settings() if setting.name != "timezone"} == {
        "command line"
    }


def test_nobody_connects_without_the_password(server):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://extrophi@127.0.0.1:{server.port}/postgres")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://extrophi:wrong@127.0.0.1:{server.port}/postgres")


def test_it_listens_on_the_loopback_alone_and_has_no_socket_file(server):
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_rows_survive_a_kill_and_a_new_start_beside_a_busy_session(server):
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    busy = psycopg.connect(server.url())
    busy.execute("SELECT 1")
    os.kill(server.child.pid, signal.SIGKILL)
    while server.child.ended() is None:
        time.sleep(0.01)
    began = time.monotonic()
    server.child.start()
    assert server.wait_ready(10)
    assert time.monotonic() - began < 5
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
    busy.close()


def test_a_pid_file_that_names_a_living_stranger_does_not_stop_it(server):
    server.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lines = [
            str(stranger.pid),
            str(server.folder),
            "1700000000",
            str(server.port),
            "",
            "127.0.0.1",
            "1 1",
            "ready",
        ]
        (server.folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
        server.start()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_it_starts_again_on_the_same_folder_with_the_same_password(server):
    password = server.url()
    server.stop()
    other = EmbeddedPostgres(server.folder, log=server.child.log)
    other.port = server.port
    other.start()
    assert other.url() == password
    other.stop()


def test_it_ends_with_the_process_that_started_it(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from backend.embedded.postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]) / 'pg', log=Path(sys.argv[1]) / 'log'); server.start()\n"
        "print(server.child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert pid in working_in(tmp_path / "pg", ("postgres",))
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_gone([pid], 5) == []
    assert working_in(tmp_path / "pg", ("postgres",)) == []


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path):
    folder = tmp_path / "pg"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(folder, log=tmp_path / "log")
    with pytest.raises(Unavailable, match="does not start"):
        server.start(5)
