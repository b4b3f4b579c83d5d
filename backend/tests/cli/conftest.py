"""The program, run in this process as a user of the running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.cli.main import main
from backend.core.settings import get_settings
from backend.db import session
from backend.tests.support.service import OnStack
from backend.tests.support.stack import Stack

EXTROPHI = str(Path(sys.executable).with_name("extrophi"))


@dataclass(frozen=True)
class Done:
    """What a run of the program left."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that ``--json`` printed."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any, tmp_path: Path) -> Iterator[Run]:
    """``run("tokens", "balance", "--json")``, with the key of a fresh user; ``stdin`` is bytes."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL", "API_KEY_PEPPER", "EXTROPHI_URL", "EXTROPHI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(stack.data_dir))
    monkeypatch.setenv("EXTROPHI_API_KEY", OnStack(stack).headers["Authorization"].removeprefix("Bearer "))
    monkeypatch.setenv("EXTROPHI_URL", stack.url)
    monkeypatch.setenv("COLUMNS", "200")
    before = dict(os.environ)

    def program(*arguments: str, stdin: bytes = b"") -> Done:
        get_settings.cache_clear()
        session.dispose()
        capsysbinary.readouterr()
        (tmp_path / "stdin").write_bytes(stdin)
        with pytest.MonkeyPatch.context() as patch, (tmp_path / "stdin").open() as given:
            patch.setattr(sys, "argv", ["extrophi", *arguments])
            patch.setattr(sys, "stdin", given)
            status = 0
            try:
                main()
            except SystemExit as end:
                status = int(end.code or 0)
        written = capsysbinary.readouterr()
        for name in set(os.environ) - set(before):  # what the program adopted from the running stack
            del os.environ[name]
        return Done(status, written.out.decode(), written.err.decode())

    yield program
    session.dispose()
    get_settings.cache_clear()


def of_its_own(*arguments: str, environment: dict[str, str], **more: Any) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [EXTROPHI, *arguments], env=environment, capture_output=True, text=True, timeout=120, **more
    )
