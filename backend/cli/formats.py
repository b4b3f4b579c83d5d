"""The formats of files that commands read and write."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

from backend.cli.failures import UsageProblem


class FileFormat(StrEnum):
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    MARKDOWN = "markdown"
    ZIP = "zip"


class Compression(StrEnum):
    GZIP = "gzip"
    ZSTD = "zstd"


_BY_EXTENSION = {"md": FileFormat.MARKDOWN, **{one.value: one for one in FileFormat}}


def of_name(name: str) -> FileFormat | None:
    """The format that a file's extension names."""
    return _BY_EXTENSION.get(Path(name).suffix.lower().removeprefix("."))


def refuse_terminal(file_format: FileFormat, compression: Compression | None = None) -> None:
    """Before bytes go to standard output.

    Raises:
        UsageProblem: it is a terminal, and they are no text.
    """
    if sys.stdout.isatty() and (compression or file_format is FileFormat.ZIP):
        raise UsageProblem("A terminal cannot show this. Say -o FILE.")
