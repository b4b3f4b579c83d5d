"""Which server and which key: the environment's, else the running stack's. Never the command line's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backend.cli.failures import NoServer, UsageProblem

if TYPE_CHECKING:
    from backend.client.sync import Client

URL = "EXTROPHI_URL"
KEY = "EXTROPHI_API_KEY"


def server() -> tuple[str, str]:
    """URL and API key.

    Raises:
        NoServer: when the environment says nothing (or half) and no stack that fits is running.
        Conflict: when several stacks run and nothing says which.
    """
    url, key = os.environ.get(URL, "").strip(), os.environ.get(KEY, "").strip()
    if url and key:
        return url, key
    from backend.embedded.running import adopt_running_stack

    stack = adopt_running_stack()
    if stack is None and not url:
        raise NoServer(f"No stack is running here. Start one with `extrophi up`, or set {URL} and {KEY}.")
    if stack is None or (url and url.rstrip("/") != stack.url.rstrip("/") and not key):
        raise NoServer(f"{KEY} is not set, and the server at {URL} is not a stack that runs here.")
    return url or stack.url, key or stack.api_key


def connected() -> Client:
    """A client of that server; use it in ``with``."""
    from backend.client.sync import Client

    url, key = server()
    try:
        return Client(url, key)
    except ValueError as error:
        raise UsageProblem(f"{URL} or {KEY}: {error}") from error
