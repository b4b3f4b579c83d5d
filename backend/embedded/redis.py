"""A real Redis (or Valkey) of our own, in a folder, on 127.0.0.1 and a free port."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from backend.core.errors import Unavailable
from backend.core.process import end_all, working_in
from backend.embedded.binaries import redis_binary
from backend.embedded.child import Child
from backend.embedded.ports import free_port
from backend.embedded.secrets import read_or_make, write_private
from backend.embedded.tuning import Setting, redis_settings

HOST = "127.0.0.1"


def impatient_client(url: str) -> Redis:
    """A client that says at once when nobody answers: for probes."""
    return Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))


class EmbeddedRedis:
    """One server in ``folder``. ``start()`` returns when it answers.

    Args:
        folder: its working directory, with the append-only file.
        log: the server's log file.
        extra: settings that win over ``tuning.redis_settings()``.
    """

    def __init__(self, folder: Path, *, log: Path, extra: tuple[Setting, ...] = ()) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self._extra = extra
        self._configuration = self.folder / "redis.conf"
        self.child = Child(
            "redis",
            self._command,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            log=log,
            orphan_signal=signal.SIGTERM,
            before_start=self._prepare,
            folder=self.folder,
        )

    def url(self, database: int = 0) -> str:
        """How to connect."""
        return f"redis://:{self._password}@{HOST}:{self.port}/{database}"

    def start(self, timeout_seconds: float = 20) -> None:
        """Start it and wait until it answers.

        Raises:
            Unavailable: with the end of its log, when it does not.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(3):
            self.child.start()
            if self.wait_ready(timeout_seconds):
                return
            self.child.stop(2)
            if attempt < 2:
                self.port = free_port()
        raise Unavailable(f"Redis does not start in {self.folder}:\n{self.child.last_words()}")

    def wait_ready(self, timeout_seconds: float) -> bool:
        """Whether it answers PING before the time is over or the process ends."""
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end and self.child.ended() is None:
            client = impatient_client(self.url())
            with suppress(RedisError), client:
                client.ping()
                return True
            time.sleep(0.03)
        return False

    def stop(self, grace_seconds: float = 5) -> None:
        """Clean shutdown, killed when that takes too long."""
        self.child.stop(grace_seconds)

    @property
    def _password(self) -> str:
        return read_or_make(self.folder / "password")

    @staticmethod
    def _binary() -> Path:
        return redis_binary().resolve()

    def _command(self) -> list[str]:
        return [str(self._binary()), str(self._configuration)]

    def _prepare(self) -> None:
        """End what a killed supervisor left on the same append-only file, then write the configuration.

        A file instead of arguments: other users see the arguments of a process, and so its password.
        """
        values = {setting.name: setting.value for setting in (*redis_settings(), *self._extra)}
        programs = ("redis-server", "valkey-server", self._binary().name)
        end_all(working_in(self.folder, programs), polite=signal.SIGTERM, grace_seconds=1)
        # The folder is its working directory, so no path (which may have spaces) is needed.
        values |= {"bind": HOST, "port": str(self.port), "requirepass": self._password, "daemonize": "no"}
        write_private(self._configuration, "".join(f"{name} {value}\n" for name, value in values.items()))
