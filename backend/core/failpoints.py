"""Failpoints: named places where a test can kill, stop or fail this process.

Off unless ``FAILPOINT`` is set to ``name[@detail]:action[:file]``. Actions: ``kill`` (SIGKILL to this
process), ``raise`` (a transient error), ``sleep=SECONDS``. ``detail`` limits it to one of the things that
pass there, such as ``import/2``, the part of that number. With ``file``, the action happens once in all
processes together: for whichever creates the file first.

``FAILPOINT=@file`` reads all this from a file whenever a point is passed: a running stack's failpoint is put
on by writing the file, and whoever acts takes it away.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from backend.core.errors import Unavailable
from backend.core.settings import get_settings

NAMES = (
    # accepting: the transaction, each message
    "submit.before_commit",
    "submit.after_commit",
    "publish.before",
    "publish.after",
    "submit.after_publish",
    # a part: its row is locked, its start is counted and committed, its work, its own commit
    "run.after_claim",
    "run.after_attempt",
    "run.after_work",
    "run.before_commit",
    "run.after_commit",
    # a part that does not end well: put off, its start taken back, given up, cancelled under way
    "put_off.before_commit",
    "put_off.after_commit",
    "excuse.before_commit",
    "excuse.after_commit",
    "give_up.before_commit",
    "give_up.after_commit",
    "interrupted.before_commit",
    "interrupted.after_commit",
    "finish.before_commit",
    "finish.after_commit",
    # the file of an export, and the digest beside it that makes it count
    "export.before_artifact",
    "artifact.before_digest",
    "export.after_artifact",
    # the message: in the child that has done its task, in the parent that acknowledges it
    "task.before_acknowledge",
    "acknowledge.before",
    "acknowledge.after",
    "cancel.before_commit",
    "cancel.after_commit",
    "sweep.before_commit",
    "sweep.after_commit",
    "sweep.before_publish",
    "sweep.after_publish",
    "purge.before_commit",
    "purge.after_commit",
    "purge.before_artifacts",
    "purge.after_artifacts",
)


def hit(name: str, detail: str = "") -> None:
    """Pass a failpoint; act when it is the one that is on.

    Args:
        name: one of ``NAMES``.
        detail: which of the things that pass here this is.

    Raises:
        Unavailable: for the action ``raise``.
    """
    setting = get_settings().failpoint
    if setting is None:
        return
    armed = Path(setting[1:]) if setting.startswith("@") else None
    if armed is not None:
        setting = _read(armed)
    wanted, _, rest = setting.partition(":")
    wanted, _, which = wanted.partition("@")
    action, _, file = rest.partition(":")
    if wanted != name or (which and which != detail):
        return
    if (armed is not None and not _took(armed)) or (file and not _first(Path(file))):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("sleep="):
        time.sleep(float(action.removeprefix("sleep=")))
    else:
        raise Unavailable(f"failpoint {name}")


def _read(armed: Path) -> str:
    try:
        return armed.read_text()
    except FileNotFoundError:
        return ""


def _took(armed: Path) -> bool:
    try:
        armed.unlink()
    except FileNotFoundError:
        return False
    return True


def _first(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
