"""Where export files live: a local folder or an object store, behind one interface.

A file appears as a whole or not at all: locally by rename, on S3 by completing a multipart upload. Beside
each lies a small ``.sha256`` object with its size and digest; it is written last, and a file without it is
not there yet. Keys are never reused for other bytes (see ``new_key``), so a reader may fetch one file in
many requests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from backend.artifacts.location import locate
from backend.core.errors import Unavailable
from backend.core.failpoints import hit
from backend.core.settings import Settings, get_settings

SIDECAR = ".sha256"
PART_BYTES = 5 * 1024 * 1024  # one multipart part: the least that S3 takes; it takes 10,000 of them
_LOCAL_PART_BYTES = 512 * 1024  # a folder takes parts of any size, and memory holds a few of them
READ_BYTES = 1024 * 1024  # one piece of a download
_PARTS_IN_FLIGHT = 2
_MAX_KEY = 512
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_STAGED = re.compile(r"#\d+\Z")  # what object_store names a local file that is not whole yet


@dataclass(frozen=True, slots=True)
class Artifact:
    """One stored file. ``sha256`` is hexadecimal; ``etag`` is a strong HTTP entity tag, quoted."""

    key: str
    size: int
    sha256: str
    modified: datetime | None = None

    @property
    def etag(self) -> str:
        return etag_of(self.sha256)


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a listing."""

    key: str
    size: int
    modified: datetime


def etag_of(sha256: str) -> str:
    """The strong entity tag of a file with this digest."""
    return f'"{sha256[:32]}"'


def new_key(*segments: str, suffix: str = "") -> str:
    """A key that nobody has used: the segments, then random digits and a suffix such as ``.json``."""
    return "/".join((*segments, secrets.token_hex(16) + suffix))


def check_key(key: str) -> str:
    """``key`` itself when it can name a file inside the store and nothing else.

    Raises:
        ValueError: for empty, hidden, relative or absolute paths, control characters, staging names.
    """
    segments = key.split("/")
    if len(key) > _MAX_KEY or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("not an artifact key")
    return key


class ArtifactStore:
    """Files by key. Every method raises ``Unavailable`` when the store does not answer."""

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    def put(self, key: str, chunks: Iterable[bytes]) -> Artifact:
        """Store a stream, whole or not at all; memory holds a few parts of it at a time.

        An exception that ``chunks`` raises aborts the upload, leaves nothing and passes through.

        Args:
            key: see ``new_key``.
            chunks: the file's bytes; pieces of 64 KiB and more are quickest.
        """
        # The stream is read inside the store's own event loop: it must not use an artifact store itself.
        check_key(key)
        digest = _Digest(chunks)
        with _answering(own=digest.failed):
            obstore.put(
                self._store,
                key,
                iter(digest),
                use_multipart=True,
                chunk_size=PART_BYTES if self._folder is None else _LOCAL_PART_BYTES,
                max_concurrency=_PARTS_IN_FLIGHT,
            )
            self._make_durable(key)
            sha256 = digest.sha256.hexdigest()
            hit("artifact.before_digest")
            self._put_beside(key, digest.size, sha256)
            self._make_durable(key + SIDECAR)
        return Artifact(key, digest.size, sha256, datetime.now(UTC))

    def head(self, key: str) -> Artifact | None:
        """What is stored under a key; ``None`` for nothing."""
        check_key(key)
        with _answering():
            try:
                meta = obstore.head(self._store, key)
                beside = json.loads(bytes(obstore.get(self._store, key + SIDECAR).bytes()))
            except FileNotFoundError:
                return None
        return Artifact(key, meta["size"], beside["sha256"], meta["last_modified"])

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end`` (exclusive; the file's end when ``None``), in pieces.

        Each piece is a request of its own, so a slow reader holds nothing open.

        Raises:
            FileNotFoundError: nothing is stored there (any more), raised before the first piece.
        """
        check_key(key)
        with _answering():
            size = obstore.head(self._store, key)["size"]
        return self._pieces(key, start, size if end is None else min(end, size))

    def _pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            stop = min(start + READ_BYTES, end)
            with _answering():
                piece = obstore.get_range(self._store, key, start=start, end=stop)
            yield bytes(piece)
            start = stop

    def delete(self, key: str) -> None:
        """Remove a file and what lies beside it. Removing what is not there is no error."""
        check_key(key)
        with _answering():
            for path in (key, key + SIDECAR):
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, path)

    def list(self, prefix: str = "", *, older_than: datetime | None = None) -> Iterator[Listed]:
        """Files below a prefix (whole segments), optionally only those last modified before a time."""
        for listed in self._all(prefix):
            if not listed.key.endswith(SIDECAR) and (older_than is None or listed.modified < older_than):
                yield listed

    def purge(self, older_than: datetime, prefix: str = "") -> int:
        """Remove what is older: files, digests whose file is gone, uploads that a killed process left.

        Uploads left on S3 need a lifecycle rule (``AbortIncompleteMultipartUpload``).

        Returns:
            How many files were removed.
        """
        old = [listed.key for listed in self._all(prefix) if listed.modified < older_than]
        files = [key for key in old if not key.endswith(SIDECAR)]
        for key in files:
            self.delete(key)
        with _answering():
            for key in old:
                if key.endswith(SIDECAR) and key.removesuffix(SIDECAR) not in files:
                    self._delete_orphan(key)
        self._delete_staged(older_than)
        return len(files)

    def _delete_orphan(self, sidecar: str) -> None:
        try:
            obstore.head(self._store, sidecar.removesuffix(SIDECAR))
        except FileNotFoundError:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, sidecar)

    def _delete_staged(self, older_than: datetime) -> None:
        if self._folder is None:
            return
        for path in self._folder.rglob("*#*"):
            with suppress(FileNotFoundError):
                if _STAGED.search(path.name) and path.stat().st_mtime < older_than.timestamp():
                    path.unlink()

    def _all(self, prefix: str) -> Iterator[Listed]:
        with _answering():
            for page in obstore.list(self._store, prefix or None):
                for meta in page:
                    yield Listed(meta["path"], meta["size"], meta["last_modified"])

    def _put_beside(self, key: str, size: int, sha256: str) -> None:
        body = json.dumps({"size": size, "sha256": sha256}).encode()
        obstore.put(self._store, key + SIDECAR, body, use_multipart=False)

    def _make_durable(self, key: str) -> None:
        """A local file has its name already; what is reported as stored must survive a power cut too."""
        if self._folder is None:
            return
        path = self._folder / key
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


class _Digest:
    """Counts and hashes a stream on its way, and keeps what it raised."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.error: BaseException | None = None

    def failed(self) -> BaseException | None:
        """What the stream itself raised."""
        return self.error

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks:
                self.size += len(chunk)
                self.sha256.update(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise


@contextmanager
def _answering(own: Callable[[], BaseException | None] = lambda: None) -> Iterator[None]:
    """Turn the store's errors into ``Unavailable``; errors of the stream being stored pass through."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        if (raised := own()) is not None:
            raise raised from None
        raise Unavailable("The artifact store does not answer. Try again shortly.") from error


def open_store(settings: Settings | None = None) -> ArtifactStore:
    """The artifact store of this installation (``ARTIFACT_URL``, else ``DATA_DIR``/artifacts)."""
    place = locate(settings or get_settings())
    return ArtifactStore(place.store, place.folder)
