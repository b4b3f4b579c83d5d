"""Markdown: one or several documents with front matter in a file, or a zip with a document per file."""

from __future__ import annotations

import io
import json
import re
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from posixpath import basename, dirname, splitext
from typing import Any, BinaryIO

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.base import ItemProblem, Limits, Record
from backend.formats.fields import ADDED_COLUMNS, ASSIGNED_FIELDS, CARD_FIELDS, card_of, divided, placed
from backend.formats.front_matter import split_front_matter
from backend.formats.opening import decoded, opened_zip
from backend.formats.sources import Source, to_record

_SIZE = re.compile(rb"^body_bytes: ([0-9]{1,10})\r?\n?$")
_PROPERTY = re.compile(rb"^(?:[^\s#:-][^:\n]{0,100}:(?:\s|$)|\s|- |#|$)")
_MATTER_LINES = 2_000
_OWN_LINE = re.compile(r"^([a-z_]+): (.+)$")


class MarkdownSource(Source):
    """A record is a document: a JSON string, front matter included."""

    name = "markdown"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with decoded(path, encoding, limits) as stream:
            for document, line in _Documents(stream, limits.max_record_bytes):
                yield to_record(document, line)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | ItemProblem | None:
        return card_of_document(record, "", options) if isinstance(record, str) else None


class ZipSource(Source):
    """A record is a file: ``{"path", "text"}``. The row is its place in the archive."""

    name = "zip"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        with opened_zip(path, encoding, limits) as archive:
            for place, name in enumerate(archive.names(), 1):
                if splitext(name)[1].lower() not in (".md", ".markdown") or _is_hidden(name):
                    continue
                with archive.open(name) as file:
                    data = file.read(limits.max_record_bytes + 1)
                if len(data) > limits.max_record_bytes:
                    yield to_record({"unreadable": "The file is too large for a card"}, place)
                    continue
                try:
                    text = data.decode("utf-8-sig")
                except UnicodeDecodeError:
                    yield to_record({"unreadable": "The file is not UTF-8"}, place)
                    continue
                yield to_record({"path": name, "text": text}, place)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | ItemProblem | None:
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            return None
        path = str(record.get("path", ""))
        folder = dirname(path).split("/")[0][:50]
        if folder and not options.get("default_category"):
            options = {**options, "default_category": folder}
        return card_of_document(record["text"], splitext(basename(path))[0][:1000], options)


def card_of_document(
    text: str, fallback_title: str, options: Mapping[str, Any]
) -> dict[str, Any] | ItemProblem:
    """A document as a card: its properties are fields or metadata, its text the body."""
    found = _own_document(text)
    if found is not None:
        return card_of(found, {}, options, fallback_title=fallback_title)
    properties, body = split_front_matter(text)
    if properties and body.startswith(("\n", "\r\n")):
        body = body.removeprefix("\r").removeprefix("\n")
    names = list(properties)
    places = [None if place == "body" else place for place in placed(names)]
    values, extra = divided(names, places, properties.values())
    values["body"] = body.rstrip("\r\n")
    return card_of(values, extra, options, fallback_title=fallback_title)


def _own_document(text: str) -> dict[str, Any] | None:
    """A document of our own export, read exactly; ``None`` when it is not one."""
    if not text.startswith("---\n"):
        return None
    head, mark, rest = text.partition("\n---\n\n")
    if not mark:
        return None
    values: dict[str, Any] = {}
    size = None
    for line in head.split("\n")[1:]:
        found = _OWN_LINE.match(line)
        if found is None:
            return None
        try:
            value = json.loads(found[2])
        except (ValueError, RecursionError):
            return None
        if found[1] == "body_bytes":
            size = value
        elif found[1] == "metadata":
            values["metadata"] = found[2]  # as it is written
        elif found[1] in CARD_FIELDS or found[1] in ASSIGNED_FIELDS:
            values[found[1]] = value
        elif found[1] not in ADDED_COLUMNS:
            return None
    if type(size) is not int or size < 0:
        return None
    body = rest.encode("utf-8", "surrogatepass")
    if len(body) >= size and body[size:] in (b"\n", b""):
        rest = body[:size].decode("utf-8", "surrogatepass")
    else:  # edited by hand since: then the text counts, not the number
        rest = rest.removesuffix("\n")
    values["body"] = rest
    return values


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/")) or name.startswith("__MACOSX/")


class _Documents:
    """The documents of one file, told apart by ``body_bytes``, or else by their front matter."""

    def __init__(self, stream: BinaryIO, longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._line = 0
        self._ahead: deque[bytes] = deque()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        first = True
        while True:
            document: list[bytes] = []
            began = self._line + 1
            opening = self._next()
            if first:
                opening = opening.removeprefix(b"\xef\xbb\xbf")
                first = False
            while opening in (b"\n", b"\r\n"):
                began += 1
                opening = self._next()
            if not opening:
                return
            document.append(opening)
            size = self._matter(document) if opening.rstrip(b"\r\n") == b"---" else None
            if size is None or not self._exact(document, size):
                self._until_next(document)
            text = b"".join(document)
            try:
                yield text.decode("utf-8"), began
            except UnicodeDecodeError:
                raise MalformedBody(f"The file is not UTF-8 (after line {began})") from None

    def _matter(self, document: list[bytes]) -> int | None:
        """Read front matter to its end; the size of the body where it says so."""
        size = None
        for _ in range(_MATTER_LINES):
            line = self._next()
            if not line:
                return None
            document.append(line)
            found = _SIZE.match(line)
            if found:
                size = int(found[1])
            if line.rstrip(b"\r\n") == b"---":
                return size
        return None

    def _exact(self, document: list[bytes], size: int) -> bool:
        """Read a body of known size; false, with nothing lost, when what follows does not fit it."""
        if size > self._longest or self._ahead:
            return False
        blank = self._next()
        if blank != b"\n":
            self._push_back(blank)
            return False
        data = self._stream.read(size + 1)
        following = self._stream.peek(4)[:4] if hasattr(self._stream, "peek") else b""
        if len(data) >= size and data[size:] in (b"\n", b"") and following in (b"---\n", b"", b"---\r"):
            document += [blank, data]
            self._line += data.count(b"\n")
            return True
        # The body was edited: what was read is looked at line by line after all.
        document.append(blank)
        self._ahead = deque(io.BytesIO(data).readlines())
        if self._ahead and not self._ahead[-1].endswith(b"\n"):
            self._ahead[-1] += self._stream.readline(self._longest)
        return False

    def _until_next(self, document: list[bytes]) -> None:
        """Read a body of unknown size: up to the front matter of the next document."""
        weight = 0
        while line := self._next():
            if line.rstrip(b"\r\n") == b"---" and self._opens():
                self._push_back(line)
                return
            document.append(line)
            weight += len(line)
            if weight > self._longest:
                raise PayloadTooLarge(f"The document that ends in line {self._line} is too large for a card")

    def _opens(self) -> bool:
        """Whether front matter follows: properties at once and a closing line, not just a rule in a text."""
        seen: list[bytes] = []
        closed = named = False
        while len(seen) < 200:
            line = self._next()
            if not line:
                break
            seen.append(line)
            if line.rstrip(b"\r\n") == b"---":
                closed = named
                break
            if not _PROPERTY.match(line) or (len(seen) == 1 and not line.strip()):
                break
            named = named or b":" in line
        for line in reversed(seen):
            self._push_back(line)
        return closed

    def _next(self) -> bytes:
        line = self._ahead.popleft() if self._ahead else self._stream.readline(self._longest + 1)
        if len(line) > self._longest:
            raise PayloadTooLarge(f"Line {self._line + 1} is too long")
        self._line += bool(line)
        return line

    def _push_back(self, line: bytes) -> None:
        if line:
            self._ahead.appendleft(line)
            self._line -= 1
