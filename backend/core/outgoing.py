"""The wall that every outgoing request passes: webhooks, and imports from a URL.

The URL comes from a user, so it may point inside: at the cloud's metadata service, at Redis, at a neighbour.
Therefore: the name is resolved once, here; every address it has must be public (``backend.core.addresses``);
the connection goes to an address that was checked, with the name in Host and SNI, so a name that changes its
mind between check and use gains nothing; redirects are answers, never followed; proxies of the environment
are not used; nothing is decompressed; and resolving, connecting, sending, waiting and reading share one
deadline, answers one size.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import h11

from backend.core.addresses import Address
from backend.core.errors import PayloadTooLarge
from backend.core.targets import Network, OutgoingFailed, Target, parse, resolve

MOST_ADDRESSES = 4  # tried, in the resolver's order
_BLOCK = 64 * 1024
_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding"})


class AnswerTooLarge(PayloadTooLarge):
    """The other side's answer is larger than the cap."""

    code = "answer_too_large"


@dataclass(frozen=True, slots=True)
class Caps:
    """Where a request ends, whatever the other side does. Seconds and bytes."""

    connect_seconds: float = 5.0
    total_seconds: float = 15.0
    answer_bytes: int = 1024 * 1024
    header_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are in lower case; ``body`` as sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer whose body is still coming: iterate ``blocks`` inside the ``with``."""

    status: int
    headers: tuple[tuple[str, str], ...]
    blocks: Iterator[bytes] = field(repr=False)


def request(
    method: str,
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    caps: Caps | None = None,
    allow_http: bool = False,
    allow: Collection[Network] = (),
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request and read the whole answer, whatever its status; redirects are not followed.

    Args:
        method, url, headers, body: of the request; Host, lengths and encodings are ours to set.
        caps: where it ends.
        allow_http: also without TLS.
        allow: see ``resolve``.
        tls: for a private certificate authority; the system's when left out.

    Raises:
        TargetRefused: the URL, or where it leads.
        OutgoingFailed: no connection, no TLS, no HTTP, no time left.
        AnswerTooLarge: the answer is larger than the cap.
    """
    with stream(
        method, url, headers=headers, body=body, caps=caps, allow_http=allow_http, allow=allow, tls=tls
    ) as answer:
        return Answer(answer.status, answer.headers, b"".join(answer.blocks))


@contextmanager
def stream(
    method: str,
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    caps: Caps | None = None,
    allow_http: bool = False,
    allow: Collection[Network] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[StreamedAnswer]:
    """As ``request``, but the body comes block by block; the caps hold until its end."""
    caps = caps or Caps()
    deadline = time.monotonic() + caps.total_seconds
    target = parse(url, allow_http=allow_http)
    addresses = resolve(target, seconds=min(caps.connect_seconds, caps.total_seconds), allow=allow)
    try:
        connection = _connect(target, addresses, caps, deadline, tls)
        try:
            exchange = _Exchange(connection, caps, deadline)
            exchange.send(method, target, headers, body)
            status, fields = exchange.head()
            yield StreamedAnswer(status, fields, exchange.blocks())
        finally:
            connection.close()
    except h11.LocalProtocolError:
        raise ValueError("the request's method or headers are not valid HTTP") from None
    except h11.RemoteProtocolError:
        raise OutgoingFailed("The other side does not speak HTTP/1.1") from None
    except TimeoutError:
        raise OutgoingFailed("The other side took too long") from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
        raise OutgoingFailed(f"TLS: {reason}") from None
    except OSError as error:
        raise OutgoingFailed(f"The connection failed: {error.strerror or 'closed'}") from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connect(
    target: Target, addresses: list[Address], caps: Caps, deadline: float, tls: ssl.SSLContext | None
) -> socket.socket:
    """To the first checked address that answers; the name is not resolved again."""
    failure: OSError = OSError("no address")
    for address in addresses[:MOST_ADDRESSES]:
        wait = min(caps.connect_seconds, _left(deadline))
        try:
            plain = _connect_to(address, target.port, wait)
        except OSError as error:
            failure = error
            continue
        if target.scheme == "http":
            return plain
        context = tls or ssl.create_default_context()
        try:
            plain.settimeout(min(caps.connect_seconds, _left(deadline)))
            return context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
    raise failure


def _connect_to(address: Address, port: int, seconds: float) -> socket.socket:
    """Without ``socket.create_connection``, which asks the resolver even about addresses."""
    plain = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        plain.settimeout(seconds)
        plain.connect((str(address), port))
    except BaseException:
        plain.close()
        raise
    return plain


class _Exchange:
    """One request and its answer on one connection; every wait ends at the deadline."""

    def __init__(self, connection: socket.socket, caps: Caps, deadline: float) -> None:
        self._socket, self._caps, self._deadline = connection, caps, deadline
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=caps.header_bytes)

    def send(self, method: str, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if any(name.lower() in _OURS for name, _ in fields):
            raise ValueError("Host, length, connection and encoding headers are set here")
        fields += [
            (b"Host", target.authority.encode()),
            (b"Connection", b"close"),
            (b"Accept-Encoding", b"identity"),
        ]
        if body or method in {"POST", "PUT", "PATCH"}:
            fields.append((b"Content-Length", str(len(body)).encode()))
        start = h11.Request(method=method, target=target.path, headers=fields)
        self._write(self._http.send(start) or b"")
        if body:
            self._write(self._http.send(h11.Data(data=body)) or b"")
        self._write(self._http.send(h11.EndOfMessage()) or b"")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(_left(self._deadline))
            view = view[self._socket.send(view[:_BLOCK]) :]

    def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Status and headers; interim answers (1xx) are passed over."""
        while True:
            event = self._next()
            if isinstance(event, h11.Response):
                fields = tuple((name.decode(), value.decode("latin-1")) for name, value in event.headers)
                declared = dict(fields).get("content-length", "0")
                if int(declared) > self._caps.answer_bytes:
                    raise AnswerTooLarge("The other side's answer is too large")
                return event.status_code, fields
            if not isinstance(event, h11.InformationalResponse):
                raise OutgoingFailed("The other side closed the connection without an answer")

    def blocks(self) -> Iterator[bytes]:
        size = 0
        while isinstance(event := self._next(), h11.Data):
            size += len(event.data)
            if size > self._caps.answer_bytes:
                raise AnswerTooLarge("The other side's answer is too large")
            yield bytes(event.data)

    def _next(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._socket.settimeout(_left(self._deadline))
            self._http.receive_data(self._socket.recv(_BLOCK))
