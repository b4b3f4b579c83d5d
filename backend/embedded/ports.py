"""Free TCP ports on this machine."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import closing, suppress


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago. Who listens on it must be ready to lose the race."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listen(host: str, port: int, *, backlog: int = 2048) -> socket.socket:
    """A listening socket on ``port``, or on a free port when that one is taken or 0.

    Raises:
        OSError: when the address itself cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            listener.bind((host, 0))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def answers(host: str, port: int, timeout_seconds: float) -> bool:
    """Whether something accepts connections there before the time is over."""
    end = time.monotonic() + timeout_seconds
    while True:
        with suppress(OSError), socket.create_connection((host, port), timeout=0.5):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
