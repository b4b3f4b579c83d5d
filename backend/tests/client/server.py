"""A real HTTP server on a real socket that answers as scripted, and breaks as scripted."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


Step = Callable[["Handler"], None]


@dataclass
class Script:
    """What to do with the requests to come, one step each; the last step repeats."""

    steps: list[Step] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def then(self, *steps: Step) -> Script:
        self.steps += steps
        return self


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def handle_any(self) -> None:
        script: Script = self.server.script
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        script.seen.append(
            Seen(self.command, parts.path, parse_qs(parts.query), headers, self._body(headers))
        )
        step = script.steps.pop(0) if len(script.steps) > 1 else script.steps[0]
        step(self)

    do_GET = do_POST = do_DELETE = handle_any

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, headers: dict[str, str], body: bytes, *, sent: int | None = None) -> None:
        """Answer; with ``sent``, cut the connection after so many bytes of the body."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:sent])
        if sent is not None:
            self.cut()

    def cut(self) -> None:
        """Reset the connection."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """The same with a TCP reset, before any answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()


def says(document: Any, status: int = 200, **headers: str) -> Step:
    """Answer with a JSON document; header names with underscores for hyphens."""
    named = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return lambda handler: handler.answer(status, named, json.dumps(document).encode())


def refuses(status: int, code: str, detail: str, **headers: str) -> Step:
    """Answer with a problem document."""
    problem = {"title": "x", "status": status, "detail": detail, "code": code, "request_id": "r-1"}
    return says(problem, status, **({"Content_Type": "application/problem+json"} | headers))


def accepted(task_id: str = "t-1", **headers: str) -> Step:
    """202 with the documented body."""
    document = {
        "task_id": task_id,
        "status": "PENDING",
        "message": "Bulk import initiated",
        "estimated_duration_seconds": 1,
        "check_status_url": f"/bulk/status/{task_id}",
    }
    return says(document, 202, **headers)


def cuts(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.cut()


def resets(handler: Handler) -> None:
    """Reset the connection without an answer."""
    handler.reset()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away: tests of cuts make many


@contextmanager
def serving() -> Iterator[Script]:
    """Run the server; its script is filled by the test."""
    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = Script(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.script = script  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
