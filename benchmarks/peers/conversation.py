"""One line of JSON each way: how the benchmark talks to a peer that runs in a process of its own.

The process stays: starting Python, importing the peer and connecting to PostgreSQL are in nobody's figures.
It is asked ``{"do": ..., ...}`` and answers ``{"cards": int}`` or ``{"error": str}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Action = Callable[..., int]  # does one thing, returns how many cards it did it to


class PeerFailed(RuntimeError):
    """The peer's process ended or answered with an error; the message carries its last words."""


class PeerProcess:
    """A peer in a process of its own: ``python -m MODULE ARGUMENTS``, asked line by line."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def ask(self, do: str, **arguments: str) -> int:
        """Have it do something; to how many cards it did it.

        Raises:
            PeerFailed: when it ends instead, or answers with an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer below says why
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(10)
            self._log.seek(0)
            raise PeerFailed(f"{self._module} ended:\n{self._log.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return int(answer["cards"])

    def close(self) -> None:
        """End the process by closing its input; kill it when it does not listen."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(actions: dict[str, Action]) -> None:
    """The other end: answer requests until the input is closed."""
    with _own_output() as answer:
        for line in sys.stdin:
            request = json.loads(line)
            action = actions[request.pop("do")]
            try:
                answer({"cards": action(**request)})
            except Exception as error:
                answer({"error": f"{type(error).__name__}: {error}"})


@contextmanager
def _own_output() -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one answer; what the peer prints meanwhile goes to its log."""
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        yield lambda message: print(json.dumps(message), file=out, flush=True)
    finally:
        sys.stdout = out
