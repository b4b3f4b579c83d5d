"""As whom PostgreSQL runs: it refuses to be root.

A normal user runs it as is. For root: in a user namespace, where we are uid 1000 and outside everything
still belongs to root, so any folder works. Where the kernel forbids namespaces: as a system account, which
then owns the data folder and needs to reach it and the programs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backend.core.errors import Unavailable

LAUNCHER = Path(__file__).with_name("launcher.py")
ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Identity:
    """``word`` as the launcher reads it; ``uid`` and ``gid`` when files must change their owner."""

    word: str
    uid: int | None = None
    gid: int | None = None


def launch_command(command: list[str], *, orphan_signal: int, identity: str = "same") -> list[str]:
    """``command`` started through the launcher: it gets ``orphan_signal`` when this process dies."""
    python = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*python, str(os.getpid()), str(int(orphan_signal)), identity, *command]


@cache
def server_identity() -> Identity:
    """As whom a program that refuses root runs.

    Raises:
        Unavailable: as root, without user namespaces and without any of the system accounts.
    """
    if os.geteuid() != 0:
        return Identity("same")
    probe = launch_command(["true"], orphan_signal=9, identity="namespace")
    if subprocess.run(probe, capture_output=True, timeout=10).returncode == 0:
        return Identity("namespace")
    return account_identity()


def account_identity() -> Identity:
    """The first system account there is."""
    for name in ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(f"{account.pw_uid}:{account.pw_gid}", account.pw_uid, account.pw_gid)
    raise Unavailable(
        "PostgreSQL does not run as root, and there is neither a user namespace nor a system account "
        f"({', '.join(ACCOUNTS)}). Run this as a normal user, or set DATABASE_URL."
    )


def hand_over(folder: Path, identity: Identity) -> None:
    """Give ``folder`` and all in it to the account, when there is one.

    Raises:
        Unavailable: when the account cannot reach the folder.
    """
    if identity.uid is None or identity.gid is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
    if not _can_read(identity, folder):
        raise Unavailable(
            f"The account that runs PostgreSQL (uid {identity.uid}) cannot reach {folder}. "
            "Choose a --data-dir outside private folders, for example /var/lib/extrophi."
        )


def reachable_programs(folder: Path, identity: Identity) -> Path:
    """``folder`` (a ``bin`` folder), or a copy of its installation where the account can read it."""
    if identity.uid is None or _can_read(identity, folder / "postgres"):
        return folder
    package = folder.parent.parent
    copy = Path(tempfile.gettempdir()) / f"extrophi-postgres-{os.getuid()}-{identity.uid}"
    if copy.exists() and copy.stat().st_uid != os.getuid():
        raise Unavailable(f"{copy} belongs to somebody else; remove it.")
    if not (copy / "whole").exists():
        shutil.rmtree(copy, ignore_errors=True)
        for part in (package, package.with_name(package.name + ".libs")):
            if part.is_dir():
                shutil.copytree(part, copy / part.name, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        (copy / "whole").touch()
    return copy / package.name / folder.parent.name / folder.name


def _can_read(identity: Identity, path: Path) -> bool:
    command = launch_command(["test", "-r", str(path)], orphan_signal=9, identity=identity.word)
    return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
