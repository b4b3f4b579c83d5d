"""The API alone, in a process of its own on a real socket, over this test's database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2


@contextmanager
def live_api(**environment: str) -> Iterator[int]:
    """Its port; the settings are this process's environment and ``environment``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port), "--log-level", "warning"]
    settings = os.environ | {"LOG_LEVEL": "ERROR"} | environment
    process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/health/live")
                break
            except httpx2.TransportError:
                assert process.poll() is None, "the API did not start"
                assert time.monotonic() < end, "the API did not start in time"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)
