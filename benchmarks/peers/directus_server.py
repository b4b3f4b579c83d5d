"""A Directus of our own: a process on loopback, a database beside the service's, a collection of cards."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from backend.embedded.ports import free_port
from benchmarks.peers.directus_install import Installed
from benchmarks.peers.peer import NotHere

START_SECONDS = 180
PATIENCE_SECONDS = 1_800
# What is said in the report; addresses and secrets come on top.
SETTINGS = {
    "NODE_ENV": "production",
    "TELEMETRY": "false",
    "CACHE_ENABLED": "false",
    "RATE_LIMITER_ENABLED": "false",
    "RATE_LIMITER_GLOBAL_ENABLED": "false",
    "PRESSURE_LIMITER_ENABLED": "false",
    "WEBSOCKETS_ENABLED": "false",
    "LOG_LEVEL": "warn",
    "MAX_PAYLOAD_SIZE": "1gb",
    "IMPORT_MAX_FILE_SIZE": "1gb",
}
_TEXT = ("title", "body", "category", "privacy_level")
_OPTIONAL_TEXT = ("source_platform", "source_url", "external_id", "published_url")


class DirectusServer:
    """One running Directus. ``client`` is authenticated as its administrator."""

    def __init__(self, installed: Installed, database_url: str, folder: Path) -> None:
        """Make its tables and start it.

        Raises:
            NotHere: with the end of its log, when it does not start.
        """
        self._port, self._token = free_port(), secrets.token_hex(16)
        self._log = folder / "directus.log"
        self._folder = folder
        self._installed = installed
        url = f"http://127.0.0.1:{self._port}"
        self._environment = SETTINGS | {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            "PUBLIC_URL": url,
            "DB_CLIENT": "pg",
            "DB_CONNECTION_STRING": database_url,
            "SECRET": secrets.token_hex(32),
            "ADMIN_EMAIL": "admin@example.com",
            "ADMIN_PASSWORD": secrets.token_urlsafe(16),
            "ADMIN_TOKEN": self._token,
            "STORAGE_LOCATIONS": "local",
            "STORAGE_LOCAL_ROOT": str(folder / "files"),
            "EXTENSIONS_PATH": str(folder / "extensions"),
        }
        self._bootstrap()
        self._process = self._run("start")
        headers = {"Authorization": f"Bearer {self._token}"}
        self.client = httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS)

    def wait_ready(self) -> None:
        """Until it answers. Raises ``NotHere`` when it ends or takes too long."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.client.get("/server/ping").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        raise NotHere(f"directus start failed: {self._last_words()}")

    def make_collection(self) -> None:
        """``cards`` with the fields of an export, through the API as an administrator would.

        Without activity and revisions (``accountability: null``), which it would otherwise write per card.
        """
        fields = [
            _field("id", "uuid", {"is_primary_key": True}, ["uuid"]),
            *[_field(name, "text", {"is_nullable": False}) for name in _TEXT],
            *[_field(name, "text", {}) for name in _OPTIONAL_TEXT],
            _field("tags", "json", {}, ["cast-json"]),
            _field("metadata", "json", {}, ["cast-json"]),
            _field(
                "is_published", "boolean", {"default_value": False, "is_nullable": False}, ["cast-boolean"]
            ),
            _field("published_at", "timestamp", {}),
            _field("created_at", "timestamp", {}, ["date-created"]),
            _field("updated_at", "timestamp", {}, ["date-updated"]),
        ]
        meta = {"accountability": None, "versioning": False}
        answer = self.client.post(
            "/collections", json={"collection": "cards", "meta": meta, "schema": {}, "fields": fields}
        )
        if answer.status_code != 200:
            raise NotHere(f"directus made no collection: {answer.text[:400]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _bootstrap(self) -> None:
        """Make its tables and its administrator."""
        process = self._run("bootstrap")
        try:
            failed = process.wait(START_SECONDS) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            failed = process.wait() != 0
        if failed:
            raise NotHere(f"directus bootstrap failed: {self._last_words()}")

    def _run(self, command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [str(self._installed.node), str(self._installed.cli), command],
                cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _last_words(self) -> str:
        return " ".join(self._log.read_text(errors="replace")[-600:].split())


def _field(
    name: str, kind: str, schema: Mapping[str, Any], special: list[str] | None = None
) -> dict[str, Any]:
    return {"field": name, "type": kind, "schema": dict(schema), "meta": {"special": special or []}}
