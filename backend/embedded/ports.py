"""Free TCP ports on this machine."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import closing


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago. Who listens on it must be ready to lose the race."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listen(host: str, port: int, *, patience_seconds: float = 0, backlog: int = 2048) -> socket.socket:
    """A listening socket on ``port``, or on a free port when that one is taken or 0.

    Args:
        patience_seconds: how long to wait for a taken port, for a predecessor that is just ending.

    Raises:
        OSError: when the address itself cannot be used.
    """
    end = time.monotonic() + patience_seconds
    while True:
        try:
            return _listen(host, port, backlog)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            if error.errno == errno.EACCES or time.monotonic() >= end:
                return _listen(host, 0, backlog)
        time.sleep(0.05)


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
