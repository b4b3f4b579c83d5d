"""Where an outgoing request may go: the form of its URL, and the addresses behind its name."""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from backend.core.addresses import Address, is_public
from backend.core.errors import ExtrophiError, ValidationFailed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2048
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", re.ASCII)
_SAFE = "/%:@!$&'()*+,;=~-._?"


class TargetRefused(ValidationFailed):
    """The URL is not one that a request may go to. ``detail`` does not say what the name resolved to."""

    code = "target_not_allowed"


class OutgoingFailed(ExtrophiError):
    """The other side cannot be reached, is too slow or speaks no HTTP. Trying again later can help."""

    code = "outgoing_failed"
    transient = True


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed the first check: its form. ``host`` is ASCII (IDNA) or an IP address."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """For the Host field."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def parse(url: str, *, allow_http: bool = False) -> Target:
    """Check a URL's form, for example when it is registered: nothing is resolved.

    Args:
        url: absolute.
        allow_http: also without TLS.

    Raises:
        TargetRefused: another scheme, user information, a port of another service, anything ambiguous.
    """
    # urlsplit drops tabs and line breaks silently; browsers read a backslash as a slash.
    if len(url) > LONGEST_URL or any(character <= " " or character in "\\\x7f" for character in url):
        raise TargetRefused("The URL is too long or contains blanks, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise TargetRefused("The URL cannot be read") from None
    if parts.scheme not in (("https", "http") if allow_http else ("https",)):
        raise TargetRefused("The URL must start with https://" + (" or http://" if allow_http else ""))
    if "@" in parts.netloc:
        raise TargetRefused("The URL must not contain a user name or password")
    if "[" in parts.netloc and ":" not in host:
        raise TargetRefused("The URL's host cannot be read")
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and not 1024 <= port <= 65535:
        raise TargetRefused("The URL's port must be 80, 443 or at least 1024")
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return Target(parts.scheme, _host(host), port, (quote(parts.path, safe=_SAFE) or "/") + query)


def _host(host: str) -> str:
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise TargetRefused("The URL's host cannot be read") from None
        if address.scope_id is not None:
            raise TargetRefused("The URL's host must not name a zone of this machine")
        return str(address)
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise TargetRefused("The URL's host cannot be read") from None
    if len(name) > 253 or _HOST.fullmatch(name) is None:
        raise TargetRefused("The URL's host cannot be read")
    return name


def resolve(target: Target, *, seconds: float, allow: Collection[Network] = ()) -> list[Address]:
    """The addresses of a target, every one of them public. Also the check at registration.

    Args:
        target: from ``parse``.
        seconds: how long the resolver may take.
        allow: networks that are let through although they are not public. For tests and for an operator's
            explicit setting, never for anything a user says.

    Raises:
        TargetRefused: one of the addresses is not public: then none is used.
        OutgoingFailed: the name cannot be resolved (in time).
    """
    found: list[Address] = []
    for name in _look_up(target, seconds):
        address = ipaddress.ip_address(name.partition("%")[0])
        if address not in found:
            found.append(address)
    for address in found:
        if not is_public(address) and not any(address in network for network in allow):
            raise TargetRefused("The URL points to an address that is not public")
    if not found:
        raise OutgoingFailed("The host's name cannot be resolved")
    return found


def _look_up(target: Target, seconds: float) -> list[str]:
    """``getaddrinfo``, which knows no time-out, in a thread that nobody waits for longer than ``seconds``."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answers.put([str(entry[4][0]) for entry in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise OutgoingFailed("The host's name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise OutgoingFailed("The host's name cannot be resolved") from None
    return answer
