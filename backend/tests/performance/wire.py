"""What goes over the wire to a server, counted on the wire: round trips, statements, bytes.

Nothing here depends on the clock. A round trip is a turn from sending to receiving on one connection,
whatever the chunks: lockstep protocols like PostgreSQL's and Redis's turn once per question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from backend.tests.faults.proxy import Proxy

# Requests before the start-up message itself: SSL, GSS encryption, cancel.
_BEFORE_START = {80877103, 80877104, 80877102}


@dataclass
class Traffic:
    """What was seen since the last ``reset()``.

    Attributes:
        sent, received: bytes to and from the server.
        statements: the text of each statement executed, in order (PostgreSQL only).
    """

    round_trips: int = 0
    sent: int = 0
    received: int = 0
    statements: list[str] = field(default_factory=list)


class Meter:
    """A proxy before a server that counts. ``port`` is where to connect to.

    Args:
        target: where the server is.
        statements: makes, for one connection, what finds the statements in the bytes to the server.
    """

    def __init__(
        self,
        target: Callable[[], tuple[str, int]],
        statements: Callable[[], Callable[[bytes], list[str]]] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._traffic = Traffic()
        self._sending: dict[int, bool] = {}
        self._parsers: dict[int, Callable[[bytes], list[str]]] = {}
        self._parser = statements
        self._proxy = Proxy(target, self._observe)
        self.port = self._proxy.port

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return self._proxy.connections

    def reset(self) -> None:
        """Count from zero."""
        with self._lock:
            self._traffic = Traffic()

    def read(self) -> Traffic:
        """The counts. Complete for everything whose answer has arrived."""
        with self._lock:
            return replace(self._traffic, statements=list(self._traffic.statements))

    def close(self) -> None:
        """Stop listening."""
        self._proxy.close()

    def _observe(self, connection: int, to_server: bool, data: bytes) -> None:
        with self._lock:
            if to_server:
                self._traffic.sent += len(data)
                if self._parser is not None:
                    parser = self._parsers.setdefault(connection, self._parser())
                    self._traffic.statements += parser(data)
            else:
                self._traffic.received += len(data)
                self._traffic.round_trips += self._sending.get(connection, False)
            self._sending[connection] = to_server


class PostgresStatements:
    """Finds statements in a client's half of one connection (documentation, "Message Formats").

    A simple query counts as one, with however many commands; an execution of a prepared one too.
    """

    def __init__(self) -> None:
        self._started = False
        self._buffer = b""
        self._prepared: dict[bytes, str] = {}
        self._bound = ""

    def __call__(self, data: bytes) -> list[str]:
        self._buffer += data
        return [statement for kind, body in self._messages() if (statement := self._of(kind, body))]

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._started else 0  # the first message has no type
            if len(self._buffer) < head + 4:
                return
            end = head + int.from_bytes(self._buffer[head : head + 4], "big")
            if len(self._buffer) < end:
                return
            kind, body = self._buffer[:head], self._buffer[head + 4 : end]
            self._buffer = self._buffer[end:]
            if self._started:
                yield kind, body
            else:
                self._started = int.from_bytes(body[:4], "big") not in _BEFORE_START

    def _of(self, kind: bytes, body: bytes) -> str | None:
        if kind == b"Q":
            return _shown(body[:-1])
        if kind == b"P":
            name, text = body.split(b"\0", 2)[:2]
            self._prepared[name] = _shown(text)
        elif kind == b"B":
            self._bound = self._prepared[body.split(b"\0", 2)[1]]
        elif kind == b"E":
            return self._bound
        return None


def _shown(text: bytes) -> str:
    return " ".join(text.decode().split())[:100]
