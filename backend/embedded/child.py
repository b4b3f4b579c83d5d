"""One child process: started so that it dies with us, its end noticed, its whole group ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from backend.embedded.identity import launch_command

_LOG_LIMIT = 10 * 1024 * 1024


class Child:
    """A program in a session of its own, so that Ctrl-C in a terminal reaches only the supervisor.

    Start it from the main thread: the kernel ties the child to the *thread* that forked it.

    Args:
        name: for logs and messages.
        command: gives the command line, asked anew at every start.
        environment: the child's whole environment.
        log: the file that collects what the child prints.
        stop_signal: asks it politely to end.
        orphan_signal: what it gets when we are killed.
        identity: see ``launcher``.
        before_start: runs before every start: clears away what a killed predecessor left.
        folder: working directory.
        inherit: file descriptors that the child keeps.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], list[str]],
        *,
        environment: Mapping[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGKILL,
        identity: str = "same",
        before_start: Callable[[], None] | None = None,
        folder: Path | None = None,
        inherit: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._orphan_signal = orphan_signal
        self._identity = identity
        self._before_start = before_start
        self._folder = folder
        self._inherit = inherit
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The child's pid; None before the first start."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it (again)."""
        if self._before_start is not None:
            self._before_start()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            os.replace(self.log, self.log.with_suffix(".log.1"))
        command = launch_command(self._command(), orphan_signal=self._orphan_signal, identity=self._identity)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=self._environment,
                cwd=self._folder,
                pass_fds=self._inherit,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self.started_at = time.monotonic()
        self.starts += 1

    def ended(self) -> int | None:
        """Its exit status when it is over (negative: the signal), else None.

        What is left of its group is killed first, while the dead leader still holds its number: children of
        a killed worker parent must not go on beside its successor.
        """
        process = self._process
        if process is None or process.returncode is not None:
            return process.returncode if process is not None else None
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self._signal_group(signal.SIGKILL)
        return process.wait()

    def ask_to_stop(self) -> None:
        """Send the polite signal. Does not wait."""
        if self.ended() is None and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(self._stop_signal)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        end = time.monotonic() + timeout_seconds
        while self._process is not None and self.ended() is None:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """End it and its group at once."""
        if self._process is not None and self.ended() is None:
            self._signal_group(signal.SIGKILL)
            self._process.kill()
            self.wait(5)

    def stop(self, grace_seconds: float) -> bool:
        """Ask, wait, kill. Returns whether asking was enough."""
        self.ask_to_stop()
        if self.wait(grace_seconds):
            return True
        self.kill()
        return False

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 8192))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal_group(self, signum: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signum)
