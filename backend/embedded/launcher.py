"""Start a program that dies with its parent; run as a script by ``python -I -S``, standard library only.

``launcher.py PARENT SIGNAL IDENTITY PROGRAM ARGUMENT…``

* PARENT: the pid that must still be our parent.
* SIGNAL: what the program gets when that parent dies, however it dies.
* IDENTITY: ``same``; ``namespace`` (root only: a user namespace in which we are uid 1000, because
  PostgreSQL refuses to run as root; files keep belonging to root outside); or ``uid:gid``.

The program replaces this process, so its pid is the one the parent got from ``fork``. The signal is set
after the change of identity, which clears it. Running between fork and exec in Python instead
(``preexec_fn``) is not safe in a parent with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings  # noqa: F401  (execvp imports it, perhaps as an account that cannot read the library)

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
INSIDE = 1000
CANNOT_START = 127


def enter_namespace(libc: ctypes.CDLL) -> None:
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not available")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE} {uid} 1"),
        ("gid_map", f"{INSIDE} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def main(arguments: list[str]) -> None:
    parent, signum, identity, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if identity == "namespace":
        enter_namespace(libc)
    elif identity != "same":
        uid, gid = (int(number) for number in identity.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux" and libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != int(parent):
        return
    os.execvp(command[0], command)  # noqa: S606  (becoming the program is the point)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"launcher: {error}\n")
        sys.exit(CANNOT_START)
