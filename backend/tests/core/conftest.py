"""Servers of one test."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from backend.tests.support.tcp_server import Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(respond: bytes | Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Server:
        if isinstance(respond, bytes):
            answer = respond
            respond = lambda connection: connection.sendall(answer)  # noqa: E731
        servers.append(Server(respond, tls))
        return servers[-1]

    yield start
    for one in servers:
        one.close()
