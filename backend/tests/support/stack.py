"""The whole real stack, started as a user starts it: ``extrophi up`` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from backend.core.process import is_alive

PATIENCE_SECONDS = 90


class Stack:
    """A running stack. ``url``, ``api_key``, ``pids`` and the rest are read anew from the ready file."""

    def __init__(self, data_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        """Start it; ``wait_ready()`` waits until it is healthy.

        Args:
            data_dir: its data folder.
            arguments: further arguments of ``extrophi up``.
            environment: added to this process's environment (without DATABASE_URL and REDIS_URL).
        """
        self.data_dir = data_dir
        self.ready_file = data_dir.with_name(data_dir.name + ".ready.json")
        self.log_path = data_dir.with_name(data_dir.name + ".up.log")
        self.ready_file.unlink(missing_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DATA_DIR", "API_KEY_PEPPER"}
        }
        self.environment = inherited | {"PYTHONUNBUFFERED": "1"} | (environment or {})
        command = [
            str(Path(sys.executable).with_name("extrophi")), "up", "--port", "0",
            "--data-dir", str(data_dir), "--ready-file", str(self.ready_file), *arguments,
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment,
                start_new_session=True,
            )  # fmt: skip

    def wait_ready(self, seconds: float = PATIENCE_SECONDS) -> Stack:
        """Wait for the ready file.

        Raises:
            RuntimeError: with what the stack printed, when it ends or takes too long.
        """
        end = time.monotonic() + seconds
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"the stack did not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    def ready(self) -> dict[str, Any]:
        """What the ready file says now."""
        return json.loads(self.ready_file.read_text())

    @property
    def url(self) -> str:
        return self.ready()["url"]

    @property
    def api_key(self) -> str:
        return self.ready()["api_key"]

    @property
    def database_url(self) -> str:
        return self.ready()["database_url"]

    @property
    def redis_url(self) -> str:
        return self.ready()["redis_url"]

    @property
    def pids(self) -> dict[str, Any]:
        return self.ready()["pids"]

    def all_pids(self) -> list[int]:
        """Every pid in the ready file, the supervisor's included."""
        pids: list[int] = []
        for value in self.pids.values():
            pids += value if isinstance(value, list) else [value] if value is not None else []
        return pids

    def headers(self) -> dict[str, str]:
        """The header that authenticates as user ``demo``."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def log(self) -> str:
        """What the supervisor printed, and the ends of its children's logs."""
        parts = [self.log_path.read_text(errors="replace")]
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            parts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")
        return "\n".join(parts)

    def pid_of(self, name: str) -> int:
        """The pid of a process by its name in the ready file; of the first worker for ``worker``."""
        value = self.pids[name]
        return value[0] if isinstance(value, list) else value

    def wait_restarted(self, name: str, old: int, seconds: float = 10) -> float:
        """Wait until the ready file names a living successor of ``old``; the seconds that took."""
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            value = self.pids[name]
            now = value if isinstance(value, list) else [value]
            if old not in now and all(is_alive(pid) for pid in now):
                return time.monotonic() - start
            time.sleep(0.02)
        raise AssertionError(f"{name} was not restarted:\n{self.log()}")

    def stop(self, seconds: float = 45) -> int:
        """Ctrl-C; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the stack did not stop in {seconds} s:\n{self.log()}") from None

    def kill(self) -> None:
        """SIGKILL to the supervisor."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
