"""A format by a file's name; what a terminal cannot show is not sent to one."""

from __future__ import annotations

import io
import sys

import pytest

from backend.cli.failures import UsageProblem
from backend.cli.formats import Compression, FileFormat, of_name, refuse_terminal


class Output(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("failed.json", "json"),
        ("failed.NDJSON", "ndjson"),
        ("a.b/failed.csv", "csv"),
        ("failed.md", "markdown"),
        ("failed.markdown", "markdown"),
        ("failed.zip", "zip"),
        ("failed.txt", None),
        ("-", None),
        ("csv", None),
    ],
)
def test_the_extension_names_the_format(name, found):
    assert of_name(name) == found


@pytest.mark.parametrize("file_format", FileFormat)
@pytest.mark.parametrize("compression", [None, *Compression])
@pytest.mark.parametrize("terminal", [True, False])
def test_only_text_goes_to_a_terminal(file_format, compression, terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Output(terminal))
    if terminal and (file_format == "zip" or compression):
        with pytest.raises(UsageProblem, match="terminal"):
            refuse_terminal(file_format, compression)
    else:
        refuse_terminal(file_format, compression)
