"""A real PostgreSQL of our own, in a folder, on 127.0.0.1 and a free port, for as long as we live."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from backend.core.errors import Unavailable
from backend.core.process import end_all, working_in
from backend.embedded.binaries import postgres_bin
from backend.embedded.child import Child
from backend.embedded.identity import hand_over, launch_command, reachable_programs, server_identity
from backend.embedded.ports import free_port
from backend.embedded.secrets import read_or_make
from backend.embedded.tuning import Setting, postgres_settings

USER = "extrophi"
HOST = "127.0.0.1"


class EmbeddedPostgres:
    """One cluster in ``folder``. ``start()`` returns when it answers; ``stop()`` is a fast, clean shutdown.

    Args:
        folder: where the cluster lives; made on first start.
        log: the server's log file.
        version: 18 or 16 from the wheel; any other only when PATH has it. An existing cluster decides itself.
        extra: settings that win over ``tuning.postgres_settings()``.
        password_file: where the superuser's password is kept.
    """

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        version: int = 18,
        extra: tuple[Setting, ...] = (),
        password_file: Path | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self._version = version
        self._extra = extra
        self._password_file = password_file or self.folder.with_name(self.folder.name + ".password")
        self._identity = server_identity()
        self.child = Child(
            "postgres",
            self._command,
            environment=_environment(),
            log=log,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            identity=self._identity.word,
            before_start=self._clear_leftovers,
        )

    def url(self, database: str = "postgres") -> str:
        """How to connect, as its superuser."""
        return f"postgresql://{USER}:{self._password}@{HOST}:{self.port}/{database}"

    def start(self, timeout_seconds: float = 60) -> None:
        """Make the cluster when it is missing, start the server, wait until it answers.

        Raises:
            Unavailable: with the end of its log, when it does not.
        """
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        for attempt in range(3):
            self.child.start()
            if self.wait_ready(timeout_seconds):
                return
            self.child.stop(5)
            if attempt < 2:
                self.port = free_port()  # somebody took the port between our look and the server's
        raise Unavailable(f"PostgreSQL does not start in {self.folder}:\n{self.child.last_words()}")

    def wait_ready(self, timeout_seconds: float) -> bool:
        """Whether it answers a query before the time is over or the process ends."""
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end and self.child.ended() is None:
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self.url(), connect_timeout=2) as connection,
            ):
                connection.execute("SELECT 1")
                return True
            time.sleep(0.03)
        return False

    def ensure_database(self, name: str) -> str:
        """Make the database when it is missing; its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def stop(self, grace_seconds: float = 10) -> None:
        """Fast shutdown: sessions end, everything is written. Killed when that takes too long."""
        self.child.stop(grace_seconds)

    @property
    def _password(self) -> str:
        return read_or_make(self._password_file)

    def _programs(self) -> Path:
        marker = self.folder / "PG_VERSION"
        version = int(marker.read_text()) if marker.exists() else self._version
        return reachable_programs(postgres_bin(version), self._identity)

    def _command(self) -> list[str]:
        values = {setting.name: setting.value for setting in (*postgres_settings(), *self._extra)}
        values |= {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs() / "postgres"), "-D", str(self.folder), *options]

    def _initialise(self) -> None:
        """Make the cluster beside its place, then move it there: a killed initdb leaves nothing half done."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder.with_name(self.folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", suffix=".pw", delete=False) as file:
            file.write(self._password)
        try:
            if self._identity.uid is not None and self._identity.gid is not None:
                os.chown(file.name, self._identity.uid, self._identity.gid)
            hand_over(unfinished, self._identity)
            programs = self._programs()
            locale = (
                ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
                if self._major(programs) >= 17
                else ["--lc-collate=C", "--lc-ctype=C.UTF-8", "--locale=C"]
            )
            command = [
                str(programs / "initdb"), "-D", str(unfinished), "-U", USER, f"--pwfile={file.name}",
                "--auth=scram-sha-256", "--encoding=UTF8", *locale,
            ]  # fmt: skip
            done = subprocess.run(
                launch_command(command, orphan_signal=signal.SIGKILL, identity=self._identity.word),
                env=_environment(),
                capture_output=True,
                text=True,
            )
        finally:
            os.unlink(file.name)
        if done.returncode != 0:
            raise Unavailable(f"initdb failed in {unfinished}:\n{done.stderr or done.stdout}")
        unfinished.rename(self.folder)

    @staticmethod
    def _major(programs: Path) -> int:
        printed = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True)
        return int(printed.stdout.split()[2].split(".")[0])

    def _clear_leftovers(self) -> None:
        """End what a killed server left in this folder, and forget its pid file.

        Sessions of a killed postmaster go on until they look up; a new server refuses to start beside them.
        Nobody else uses the folder: its supervisor holds the lock.
        """
        end_all(working_in(self.folder, ("postgres",)), polite=signal.SIGQUIT, grace_seconds=1)
        # Its pid may by now belong to some other program, and then PostgreSQL would refuse.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """A small, known environment: PGPORT, PGDATA and the like of the caller must not reach the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
