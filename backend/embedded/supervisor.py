"""``extrophi up``: the whole stack as children of one process.

Start: lock the data folder, PostgreSQL, Redis, migrations, the first key, then API, workers and beat; once
all is healthy the ready file is written. Run: whatever dies is started again. Stop: workers and beat, the
API, Redis, PostgreSQL. However this process ends, the kernel ends the children with it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from backend.core.errors import Conflict
from backend.core.settings import get_settings
from backend.db import migrate, session
from backend.embedded import demo_key, health, running, servers, services
from backend.embedded.child import Child
from backend.embedded.ports import listen
from backend.embedded.restarts import Restarts

POLL_SECONDS = 0.05
WORKER_GRACE_SECONDS = 32.0  # a little more than the workers' own soft shutdown
API_GRACE_SECONDS = 8.0
HEALTH_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What ``extrophi up`` was asked for. ``port`` 0 means any free one; a taken port is replaced too."""

    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: Path = Path(".data")
    workers: int = 1
    ready_file: Path | None = None


class _Interrupted(Exception):
    """A signal came while starting."""


class Supervisor:
    """One stack. Use it from the main thread, once: ``start()``, ``run()``, and ``stop()`` in any case.

    Args:
        options: what to run.
        say: shows one line to the person in front of the terminal.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self.options = options
        self.data_dir = options.data_dir.absolute()
        self._say = say
        self._children: list[Child] = []  # in the order in which they started
        self._restarts: dict[str, Restarts] = {}
        self._due: dict[str, float] = {}
        self._signals = 0
        self._starting = True
        self._listener: socket.socket | None = None
        self._lock: int | None = None
        self.state: running.RunningStack | None = None
        self.key_is_new = False

    def start(self) -> running.RunningStack:
        """Bring everything up; returns when it is healthy and the ready file is written.

        Raises:
            ExtrophiError: what does not start, and why.
            KeyboardInterrupt: when a signal came before that.
        """
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
                signal.signal(signum, self._on_signal)
        try:
            return self._start()
        except _Interrupted as error:
            raise KeyboardInterrupt from error
        finally:
            self._starting = False

    def run(self, finished: Callable[[], bool] = lambda: False) -> bool:
        """Keep it up until ``finished()``, or until a signal comes; whether it was the former."""
        while not self._signals:
            if finished():
                return True
            self.tend()
            time.sleep(POLL_SECONDS)
        return False

    def tend(self) -> None:
        """Start again what has died."""
        now = time.monotonic()
        for child in self._children:
            status = child.ended()
            if status is None:
                continue
            if child.name not in self._due:
                restarts = self._restarts.get(child.name, Restarts()).after(now - child.started_at)
                self._restarts[child.name] = restarts
                self._due[child.name] = now + restarts.delay_seconds
                self._say(f"{child.name} ended ({_cause(status)}), starting it again")
                if restarts.looks_like_a_loop:
                    self._say(f"{child.name} keeps ending. The end of {child.log}:\n{child.last_words()}")
            if time.monotonic() >= self._due[child.name]:
                del self._due[child.name]
                child.start()
                self._write_state()

    def stop(self) -> None:
        """End everything, politely; a second Ctrl-C hurries it."""
        if self.options.ready_file is not None and self.state is not None:
            self.options.ready_file.unlink(missing_ok=True)
        ours = [child for child in self._children if child.name not in {"postgres", "redis"}]
        for child in ours:
            child.ask_to_stop()
        asked = time.monotonic()
        for child in ours:
            grace = API_GRACE_SECONDS if child.name == "api" else WORKER_GRACE_SECONDS
            while not child.wait(0.1):
                if self._signals > 1 or time.monotonic() - asked > grace:
                    self._say(f"{child.name} does not stop, killing it")
                    child.kill()
        for name in ("redis", "postgres"):
            for child in self._children:
                if child.name == name:
                    child.stop(8)
        if self._listener is not None:
            self._listener.close()
        if self._lock is not None:
            (self.data_dir / running.STATE_FILE).unlink(missing_ok=True)
            running.withdraw()
            os.close(self._lock)
            self._lock = None

    def _start(self) -> running.RunningStack:
        self._take_folder()
        if self.options.ready_file is not None:
            self.options.ready_file.unlink(missing_ok=True)
        killed_before = (self.data_dir / running.STATE_FILE).exists()
        (self.data_dir / running.STATE_FILE).unlink(missing_ok=True)
        services.end_leftovers(self.data_dir)
        workers = self.options.workers
        worker_children = workers * services.children_per_worker(workers)
        found = servers.start(self.data_dir, self._children, worker_children)
        variables = services.environment(self.data_dir, servers.variables(found, self.data_dir), workers)
        os.environ.update(
            {name: variables[name] for name in ("DATABASE_URL", "REDIS_URL", "DATA_DIR")}
            | {name: variables[name] for name in ("API_KEY_PEPPER",) if name in variables}
        )
        get_settings.cache_clear()
        migrate.upgrade()
        key, self.key_is_new = demo_key.demo_key(self.data_dir)
        session.dispose()

        self._listener = listen(
            self.options.host, self.options.port, patience_seconds=2 if killed_before else 0
        )
        self._listener.set_inheritable(True)
        port: int = self._listener.getsockname()[1]
        if self.options.port not in {0, port}:
            self._say(f"port {self.options.port} is taken, using {port}")
        for number in range(1, workers + 1):
            self._launch(services.worker(self.data_dir, variables, number, workers))
        self._launch(services.api(self.data_dir, variables, self._listener.fileno()))
        self._launch(services.beat(self.data_dir, variables))
        self.state = running.RunningStack(
            url=f"http://{_address(self.options.host)}:{port}",
            api_key=key,
            database_url=found.database_url,
            redis_url=found.redis_url,
            data_dir=str(self.data_dir),
        )
        health.await_healthy(
            self.state.url, self.options.workers, self._children, HEALTH_PATIENCE_SECONDS, self.tend
        )
        self._write_state()
        running.announce(self.state)
        return self.state

    def _take_folder(self) -> None:
        """Make the data folder and lock it: two stacks on one folder would ruin each other.

        Raises:
            Conflict: when another supervisor holds it.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for name in ("artifacts", "uploads", "logs", "secrets"):
            (self.data_dir / name).mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise Conflict(
                f"Another stack is running on {self.data_dir} (process {holder}). "
                "Stop it first, or choose another --data-dir."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def _launch(self, child: Child) -> None:
        self._children.append(child)
        child.start()

    def _write_state(self) -> None:
        """Write ``stack.json`` and the ready file with the pids of this moment."""
        if self.state is None:
            return
        pids = {child.name: child.pid for child in self._children}
        self.state.pids = {
            "supervisor": os.getpid(),
            "api": pids.get("api"),
            "worker": [pid for name, pid in pids.items() if name.startswith("worker")],
            "beat": pids.get("beat"),
            "postgres": pids.get("postgres"),
            "redis": pids.get("redis"),
        }
        files = [self.data_dir / running.STATE_FILE]
        if self.options.ready_file is not None:
            files.append(self.options.ready_file.absolute())
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # somebody removed the folder of the ready file
            self.state.write(*files)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._starting:
            self._starting = False
            raise _Interrupted


def _cause(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    return signal.Signals(-status).name


def _address(host: str) -> str:
    """What to put in a URL: a wildcard address is no destination."""
    if host in {"0.0.0.0", ""}:  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
