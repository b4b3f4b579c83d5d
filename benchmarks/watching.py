"""What is watched beside a load: the memory of the stack's processes, and how quick status calls are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from benchmarks.calling import Caller
from benchmarks.figures import Figure, percentile
from benchmarks.servers import RunningStack

MB = 1_000_000
CHILD, API = "worker child", "API"
MEMORY_GOALS = {CHILD: 100.0, API: 160.0}  # MB of resident memory at its peak
_SAMPLE_SECONDS = 0.25
_RESET_PEAK = "5"  # see proc(5), clear_refs


@dataclass(slots=True)
class Memory:
    """Memory in bytes by kind of process; of worker children the largest one.

    Attributes:
        before: resident before the load; ``peak``: the most resident during it, shared pages counted whole.
        proportional: the largest proportional set size sampled (shared pages in shares).
        growth: the largest peak minus before of one process.
    """

    before: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    proportional: dict[str, int] = field(default_factory=dict)
    growth: dict[str, int] = field(default_factory=dict)


@contextmanager
def watched(stack: RunningStack) -> Iterator[Memory]:
    """Memory of API and worker children while the body runs; complete on leaving.

    The kernel's own high-water mark is set back first and read at the end, so no peak is missed.
    """
    memory = Memory()
    before = {}
    for kind, pid in _processes(stack):
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
            before[pid] = _field(pid, "status", "VmRSS")
            memory.before[kind] = max(memory.before.get(kind, 0), before[pid])
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            for kind, pid in _processes(stack):
                with suppress(OSError):
                    used = _field(pid, "smaps_rollup", "Pss")
                    memory.proportional[kind] = max(memory.proportional.get(kind, 0), used)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()
    for kind, pid in _processes(stack):
        with suppress(OSError):
            peak = _field(pid, "status", "VmHWM")
            memory.peak[kind] = max(memory.peak.get(kind, 0), peak)
            grown = peak - before.get(pid, 0)
            memory.growth[kind] = max(memory.growth.get(kind, 0), grown)


def memory_figures(memory: Memory, what: str) -> Iterator[Figure]:
    """The peaks as figures of the report."""
    for kind, at_most in MEMORY_GOALS.items():
        yield Figure(
            "memory",
            f"{kind}, {what}",
            memory.peak[kind] / MB,
            "MB",
            at_most=at_most,
            note=f"peak of resident memory, shared pages counted whole; {memory.before[kind] / MB:.0f} MB "
            f"before; proportional set size at most {memory.proportional.get(kind, 0) / MB:.0f} MB",
        )


class StatusCalls:
    """Asks for an operation's status, one call after another on one connection, until left; once at least.

    Args:
        milliseconds: gets how long each call took.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        task_id: str,
        milliseconds: list[float],
        pause_seconds: float = 0.005,
    ) -> None:
        self.milliseconds = milliseconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(base_url, key, task_id, pause_seconds))

    def __enter__(self) -> StatusCalls:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self, base_url: str, key: str, task_id: str, pause_seconds: float) -> None:
        with Caller(base_url, key) as caller:
            caller.get(f"/bulk/status/{task_id}")  # the connection is made
            over = False
            while not over:
                began = time.perf_counter()
                caller.get(f"/bulk/status/{task_id}")
                self.milliseconds.append((time.perf_counter() - began) * 1000)
                over = self._over.wait(pause_seconds)


def status_figures(
    milliseconds: Sequence[float], group: str, name: str, p99: tuple[float, float]
) -> Iterator[Figure]:
    """p50, p95 and p99, the last with its goals; in milliseconds.

    Raises:
        ValueError: no call was answered meanwhile.
    """
    for share in (0.50, 0.95, 0.99):
        last = share == 0.99
        yield Figure(
            group,
            f"{name}, p{round(share * 100)}",
            percentile(milliseconds, share),
            "ms",
            at_most=p99[0] if last else None,
            stretch=p99[1] if last else None,
            note=f"{len(milliseconds):,} calls, one at a time" if last else "",
        )


def _processes(stack: RunningStack) -> list[tuple[str, int]]:
    pids = stack.pids
    found = [(API, pids["api"])]
    for parent in pids["worker"]:
        with suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            found += [(CHILD, int(child)) for child in children]
    return found


def _field(pid: int, file: str, name: str) -> int:
    """A field of a file of /proc in bytes; 0 where it is missing."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0
