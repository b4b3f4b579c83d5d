"""A TCP server that answers as a test says, and a resolver that lies."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress


class Server:
    """Accepts connections, keeps what was sent, and lets ``respond(socket)`` do the rest."""

    def __init__(self, respond: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.respond, self.tls = respond, tls
        self.received: list[bytes] = []
        self.names: list[str | None] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                data += _more(connection)
            head, _, rest = data.partition(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    while len(rest) < int(line.split(b":")[1]):
                        rest += _more(connection)
            self.received.append(head + b"\r\n\r\n" + rest)
            self.respond(connection)
        connection.close()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def _more(connection: socket.socket) -> bytes:
    """What came next.

    Raises:
        ConnectionError: nothing will; asking again would spin for ever.
    """
    data = connection.recv(65536)
    if not data:
        raise ConnectionError
    return data


def lie(monkeypatch, *answers: list[str]) -> list[str]:
    """A resolver that says something else each time; the names it was asked for."""
    asked: list[str] = []
    left = list(answers)

    def look_up(host, port, *_, **__):
        asked.append(host)
        now = left.pop(0) if len(left) > 1 else left[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in now
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked
