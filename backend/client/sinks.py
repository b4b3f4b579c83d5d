"""Where a download goes: a temporary file beside its target, which it becomes once it is whole."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


class Sink:
    """A file in the making. ``size`` bytes of it are here; ``sha256`` is over exactly these.

    Raises:
        OSError: when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=".extrophi-", suffix=".part", dir=folder)
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget what is here."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    def commit(self, target: Path) -> None:
        """Make it the target, whole and on disk, with the permissions that a new file gets."""
        self._file.flush()
        os.fsync(self._file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(self._file.fileno(), 0o666 & ~mask)
        self._file.close()
        self._path.replace(target)

    def abandon(self) -> None:
        """Remove it, unless it was committed."""
        self._file.close()
        with suppress(FileNotFoundError):
            self._path.unlink()


def safe_name(suggested: str | None, fallback: str) -> str:
    """A server's suggestion as a file name that stays in its folder and shows on a terminal."""
    name = _UNSAFE.sub("_", (suggested or "").replace("\\", "/").rpartition("/")[2]).strip(" .")
    return name[:200] or fallback
