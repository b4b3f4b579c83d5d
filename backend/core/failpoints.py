"""Failpoints: named places where a test can kill, stop or fail this process.

Off unless ``FAILPOINT`` is set to ``name:action[:file]``. Actions: ``kill`` (SIGKILL to this process),
``raise`` (a transient error), ``sleep=SECONDS``. With ``file``, the action happens once in all
processes together: for whichever creates the file first.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from backend.core.errors import Unavailable
from backend.core.settings import get_settings

NAMES = (
    "submit.before_commit",
    "submit.after_commit",
    "submit.after_publish",
    "run.after_claim",
    "run.after_attempt",
    "run.after_work",
    "run.before_commit",
    "run.after_commit",
    "finish.before_commit",
    "finish.after_commit",
    "task.before_acknowledge",
    "export.before_artifact",
    "export.after_artifact",
    "sweep.before_publish",
    "cancel.before_commit",
    "purge.before_commit",
)


def hit(name: str) -> None:
    """Pass a failpoint; act when it is the one that is on.

    Raises:
        Unavailable: for the action ``raise``.
    """
    setting = get_settings().failpoint
    if setting is None:
        return
    wanted, _, rest = setting.partition(":")
    action, _, file = rest.partition(":")
    if wanted != name or (file and not _first(Path(file))):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep="):
        time.sleep(float(action.removeprefix("sleep=")))
    else:
        raise Unavailable(f"failpoint {name}")


def _first(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
