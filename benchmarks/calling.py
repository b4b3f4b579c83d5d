"""Calls of the running stack over HTTP/1.1 with as little of a client as possible: one kept connection."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import WrongCount

_PATIENCE_SECONDS = 600
_CHUNK_BYTES = 1024 * 1024


class Caller:
    """One connection and one key."""

    def __init__(self, base_url: str, key: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=_PATIENCE_SECONDS)
        self._headers = {"Authorization": f"Bearer {key}"}

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """A JSON answer.

        Raises:
            WrongCount: any other status than 200.
        """
        return self._call("GET", path, None, {}, 200)

    def post(self, path: str, body: bytes, media_type: str = "application/json") -> dict[str, Any]:
        """The 202 of a started operation.

        Raises:
            WrongCount: it was not accepted.
        """
        return self._call("POST", path, body, {"Content-Type": media_type}, 202)

    def post_file(self, path: str, file: Path, media_type: str) -> dict[str, Any]:
        """As ``post``, with the file streamed from the disk."""
        headers = {"Content-Type": media_type, "Content-Length": str(file.stat().st_size)}
        with file.open("rb") as source:
            chunks = iter(lambda: source.read(_CHUNK_BYTES), b"")
            return self._call("POST", path, chunks, headers, 202)

    def finished(self, task_id: str) -> dict[str, Any]:
        """The final status, asked for with ``?wait=``.

        Raises:
            WrongCount: the operation failed.
        """
        while True:
            status = self.get(f"/bulk/status/{task_id}?wait=60")
            if status["status"] == "SUCCESS":
                return status
            if status["status"] == "FAILURE":
                raise WrongCount(f"operation failed: {status.get('error')}")

    def _call(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], wanted: int
    ) -> dict[str, Any]:
        self._http.request(method, path, body, {**self._headers, **headers})
        response = self._http.getresponse()
        content = response.read()
        if response.status != wanted:
            raise WrongCount(f"{method} {path}: {response.status} {content[:200]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer
