"""What both shells share: where requests go, which headers they carry, what a broken connection is."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backend.client.errors import ClientError
from backend.client.retries import RetryPolicy
from backend.client.wire import Lost, Request, Response

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server and how to talk to it. The key stays out of ``repr``.

    Raises:
        ValueError: for a URL that is not http(s), or a key that no header can carry.
    """

    url: str
    api_key: str = field(repr=False)
    retry: RetryPolicy
    timeout: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("The server's URL must look like https://host:port")
        if parts.username or parts.password:
            raise ValueError("The server's URL must not hold a user or password")
        if not self.api_key or not all(33 <= ord(character) <= 126 for character in self.api_key):
            raise ValueError("The API key is empty or has characters that no key has")

    def is_local(self) -> bool:
        """Whether it is this machine, which no proxy of the environment should come between."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def absolute(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else self.url.rstrip("/") + path

    def headers(self, request: Request) -> dict[str, str]:
        """All headers of a request. The key goes to this server only."""
        headers = {"User-Agent": _user_agent(), **request.headers}
        absolute = self.absolute(request.path)
        if request.authorize and absolute.startswith(self.url.rstrip("/") + "/"):
            headers["Authorization"] = f"Bearer {self.api_key}"
        if request.body is not None and request.body.length is not None:
            headers["Content-Length"] = str(request.body.length)
        return headers

    def timeouts(self, request: Request) -> httpx2.Timeout:
        import httpx2

        read = self.timeout if request.read_timeout is None else request.read_timeout
        return httpx2.Timeout(read, connect=min(CONNECT_SECONDS, self.timeout), write=WRITE_SECONDS)

    def client_options(self) -> dict[str, Any]:
        return {"trust_env": not self.is_local(), "follow_redirects": False}


def head(response: httpx2.Response, body: bytes = b"") -> Response:
    """Status, headers (lower case) and a body."""
    return Response(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)


def lost(error: httpx2.TransportError) -> Lost:
    """What is worth trying again.

    Raises:
        ClientError: for what is not: our own mistakes, such as a file that changes while it is sent.
    """
    import httpx2

    if isinstance(error, httpx2.LocalProtocolError):
        raise ClientError(
            f"The request could not be sent: {error}. Did the file change meanwhile?"
        ) from error
    if isinstance(error, httpx2.UnsupportedProtocol):
        raise ClientError(str(error)) from error
    return Lost(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


@lru_cache(maxsize=1)
def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"extrophi-client/{version('extrophi-bulk')}"
    except PackageNotFoundError:
        return "extrophi-client"
