"""Processes: dying with the parent, and asking the kernel about a pid. Linux; elsewhere a polite no-op."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BLOCK_BYTES = 128 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_ARENAS = 2
_PROC = Path("/proc")


def die_with_parent(signum: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Ask the kernel to send ``signum`` to this process when the thread that forked it ends.

    Call it first thing in the child. Celery calls it in every worker child, so that a killed worker parent
    leaves nobody behind.

    Args:
        signum: the signal to get.
        parent: the pid that should be our parent; when it died before this call, exit at once.

    Raises:
        OSError: when the kernel refuses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def give_memory_back() -> None:
    """Have the C library give large blocks back to the system, and keep few pools for threads.

    An export's threads pass buffers of a quarter of a MiB on; glibc would keep each thread's in a pool of
    its own (mallopt(3)). Elsewhere nothing happens.
    """
    _mallopt((_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES), (_M_ARENA_MAX, _ARENAS))


def keep_memory() -> None:
    """Have the C library keep up to 32 MiB of freed memory in each of its few pools.

    A request's body is in memory two or three times, in blocks of up to 10 MB. Given back to the system and
    taken again, page by page, they cost each request more time than receiving the body does.
    """
    _mallopt((_M_MMAP_THRESHOLD, _KEPT_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_ARENA_MAX, _ARENAS))


def _mallopt(*options: tuple[int, int]) -> None:
    if sys.platform != "linux":
        return
    with suppress(AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        for option, value in options:
            libc.mallopt(option, value)


def is_alive(pid: int) -> bool:
    """Whether a process with this pid runs. A zombie (dead, not yet reaped) is not alive."""
    if sys.platform != "linux":
        return _answers_to_signals(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _answers_to_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_gone(pids: list[int], timeout_seconds: float) -> list[int]:
    """Wait until none of ``pids`` is alive; returns those that still are when the time is over."""
    end = time.monotonic() + timeout_seconds
    while True:
        left = [pid for pid in pids if is_alive(pid)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.02)


def working_in(folder: Path, programs: tuple[str, ...]) -> list[int]:
    """Pids of the processes of these programs (file names) whose working directory is ``folder``.

    As far as this user may look; a shell that somebody left in the folder is not among them.
    """
    wanted = os.path.realpath(folder)
    return [
        pid
        for pid in _pids()
        if _link(pid, "cwd") == wanted
        and os.path.basename((_link(pid, "exe") or "").removesuffix(" (deleted)")) in programs
    ]


def carrying(variable: str, value: str) -> list[int]:
    """Pids of the processes that were started with this environment variable at this value."""
    wanted = f"{variable}={value}".encode()
    found = []
    for pid in _pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(pid)
    return found


def end_all(pids: list[int], *, polite: signal.Signals, grace_seconds: float) -> None:
    """Signal them politely, wait, then SIGKILL what is left. They need not be our children."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, polite)
    for pid in wait_gone(pids, grace_seconds):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_gone(pids, 5)


def _pids() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _link(pid: int, name: str) -> str | None:
    try:
        return os.readlink(_PROC / str(pid) / name)
    except OSError:
        return None
