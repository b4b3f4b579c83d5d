"""What the load tests share: a server to talk to, and the times of status calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backend.client.sync import Client
from backend.core.errors import Conflict
from backend.embedded.running import adopt_running_stack

_START_SECONDS = 120


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """URL and key: the environment's, the running stack's, or those of a stack of our own."""
    url, key = os.environ.get("EXTROPHI_URL"), os.environ.get("EXTROPHI_API_KEY")
    if url and key:
        yield url, key
        return
    try:
        running = adopt_running_stack()
    except Conflict as error:
        raise SystemExit(error.detail) from None
    if running is not None:
        yield running.url, running.api_key
        return
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "backend.cli.main", "up", "--port", "0"]
        options = ["--data-dir", f"{folder}/data", "--ready-file", str(ready)]
        stack = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + _START_SECONDS
            while not ready.exists():
                if stack.poll() is not None or time.monotonic() > end:
                    raise SystemExit("The stack did not start; `extrophi doctor` says why.")
                time.sleep(0.1)
            document = json.loads(ready.read_text())
            yield document["url"], document["api_key"]
        finally:
            stack.terminate()
            stack.wait(60)


class StatusTimes:
    """Polls a status beside the main thread and keeps how long each answer took, in milliseconds."""

    def __init__(self, url: str, key: str, task_id: str, pause_seconds: float = 0.01) -> None:
        self.milliseconds: list[float] = []
        self.progress: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, args=(url, key, task_id, pause_seconds))
        self._thread.start()

    def _poll(self, url: str, key: str, task_id: str, pause: float) -> None:
        with Client(url, key) as client:
            while not self._stop.is_set():
                began = time.perf_counter()
                status = client.status(task_id)
                self.milliseconds.append((time.perf_counter() - began) * 1000)
                if status.progress is not None:
                    self.progress.append(status.progress.current)
                if status.is_final:
                    return
                time.sleep(pause)

    def end(self) -> None:
        """Stop polling."""
        self._stop.set()
        self._thread.join(30)

    def report(self) -> str:
        """p50, p95 and p99 of the status call."""
        times = sorted(self.milliseconds) or [0.0]
        points = ((50, 0.5), (95, 0.95), (99, 0.99))
        shown = ", ".join(
            f"p{name} {times[min(len(times) - 1, int(len(times) * share))]:.1f} ms" for name, share in points
        )
        return f"{shown} ({len(self.milliseconds)} calls)"


def check(what: str, found: object, wanted: object) -> bool:
    """Print one figure beside the wanted one."""
    right = found == wanted
    print(f"{what:<24} {found}{'' if right else f'   WRONG: {wanted} expected'}")
    return right
