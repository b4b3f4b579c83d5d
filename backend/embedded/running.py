"""Which stacks run on this machine, for the commands that come after ``extrophi up``.

A running stack keeps ``stack.json`` in its data folder (the same document as the ready file) and a pointer
to that folder in a private folder of its user. Both go away when it stops; those of a killed one are told
by their dead pid.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backend.core.errors import Conflict
from backend.core.process import is_alive
from backend.core.settings import get_settings
from backend.embedded.secrets import write_private

STATE_FILE = "stack.json"
PEPPER_FILE = "secrets/pepper"


@dataclass
class RunningStack:
    """The document of the ready file. ``pids["worker"]`` is a list, one per Celery parent; a server that is
    not ours has the pid None."""

    url: str
    api_key: str
    database_url: str
    redis_url: str
    data_dir: str
    pids: dict[str, Any] = field(default_factory=dict)

    def write(self, *files: Path) -> None:
        """Write it to each file, whole, readable by its owner only."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        for file in files:
            write_private(file, text)


def announce(stack: RunningStack) -> None:
    """Leave (or refresh) the pointer to this process's stack."""
    with suppress(OSError):
        write_private(_pointers() / f"{os.getpid()}.json", json.dumps({"data_dir": stack.data_dir}))


def withdraw() -> None:
    """Remove this process's pointer."""
    with suppress(OSError):
        (_pointers() / f"{os.getpid()}.json").unlink(missing_ok=True)


def read(data_dir: Path) -> RunningStack | None:
    """The stack that runs on this data folder, if one does."""
    try:
        stack = RunningStack(**json.loads((data_dir / STATE_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return stack if is_alive(int(stack.pids.get("supervisor") or 0)) else None


def running() -> list[RunningStack]:
    """Every stack that this user runs."""
    found: dict[str, RunningStack] = {}
    with suppress(OSError):
        for pointer in sorted(_pointers().glob("*.json")):
            if not is_alive(int(pointer.stem)):
                pointer.unlink(missing_ok=True)
                continue
            with suppress(OSError, ValueError, KeyError):
                stack = read(Path(json.loads(pointer.read_text())["data_dir"]))
                if stack is not None:
                    found[stack.data_dir] = stack
    return list(found.values())


def adopt_running_stack() -> RunningStack | None:
    """Point this process's settings at the running stack, as far as the environment leaves them open.

    With DATABASE_URL set, only what belongs to that very database is taken over (its Redis, data folder and
    the secret of its API keys). Without: the stack on DATA_DIR, else the only one that this user runs.

    Returns:
        The stack; None when none fits, and then nothing changed.

    Raises:
        Conflict: when several run and nothing says which.
    """
    given = os.environ.get("DATABASE_URL")
    if given:
        stack = next((one for one in running() if one.database_url == given), None)
    else:
        stack = read(get_settings().data_dir.absolute()) or _only(running())
    if stack is None:
        return None
    data_dir = Path(stack.data_dir)
    os.environ.setdefault("DATABASE_URL", stack.database_url)
    os.environ.setdefault("REDIS_URL", stack.redis_url)
    os.environ.setdefault("DATA_DIR", stack.data_dir)
    with suppress(FileNotFoundError):
        os.environ.setdefault("API_KEY_PEPPER", (data_dir / PEPPER_FILE).read_text().strip())
    get_settings.cache_clear()
    return stack


def _only(stacks: list[RunningStack]) -> RunningStack | None:
    if len(stacks) > 1:
        folders = ", ".join(sorted(stack.data_dir for stack in stacks))
        raise Conflict(
            f"Several stacks are running ({folders}). Set DATA_DIR to one of these, or DATABASE_URL."
        )
    return stacks[0] if stacks else None


def _pointers() -> Path:
    """A folder of this user alone.

    Raises:
        PermissionError: when somebody else made it.
    """
    folder = Path(tempfile.gettempdir()) / f"extrophi-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is not private")
    return folder
