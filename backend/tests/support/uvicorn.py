"""``uvicorn main:app``, as a user starts it, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil

from backend.embedded.ports import free_port
from backend.tests.docs.pages import ROOT


class Uvicorn:
    """One or several API processes behind one address.

    Args:
        environment: added to this process's; says where PostgreSQL and Redis are.
        workers: how many processes serve.
    """

    def __init__(self, folder: Path, environment: dict[str, str], *, workers: int = 1) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "uvicorn.log"
        port = self.url.rpartition(":")[2]
        command = [str(Path(sys.executable).with_name("uvicorn")), "main:app", "--port", port]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", str(workers)], cwd=ROOT, env={**os.environ, **environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._await(30)
        except BaseException:
            self.stop()
            raise

    def _await(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                httpx2.get(f"{self.url}/health/live", timeout=2).raise_for_status()
            except httpx2.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"uvicorn does not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End it with all its processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]
