"""Files of failed records, sent back with the preset of the file that they come from.

A preset's own kind of file may be nothing that errors fit into (a text of tabs, an archive), so every preset
also reads the JSON, NDJSON and CSV of ``backend.formats.errors_file``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from backend.formats.base import Limits, Record
from backend.formats.csv_source import CsvSource
from backend.formats.fields import ADDED_COLUMNS, CARD_FIELDS, encoded
from backend.formats.opening import decoded
from backend.formats.presets.tweets_js import elements

_HEAD_BYTES = 256
# One object a line, an array of them, or an object that holds them; not what else a text may begin with,
# Anki's {{c1::cloze}} and [sound:file.mp3] among it.
_JSON = re.compile(
    rb'\s*(?:\{\s*"errors"\s*:|(?:\[\s*)?\{\s*"(?:index|row|field|code|message|card)"\s*:)', re.DOTALL
)
_HEADER = ",".join((*CARD_FIELDS, *ADDED_COLUMNS)).encode()


def failed_before(path: Path, encoding: str | None, limits: Limits) -> Iterator[Record] | None:
    """The records of such a file, which ``Source.to_card`` unwraps; ``None`` for any other file.

    Args:
        path, encoding, limits: as for ``Source.split``.
    """
    with decoded(path, encoding, limits) as stream:
        head = stream.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    if _JSON.match(head):
        return _entries(path, encoding, limits)
    if head.replace(b'"', b"").startswith((_HEADER + b"\r", _HEADER + b"\n")):
        return _rows(path, encoding, limits)
    return None


def _entries(path: Path, encoding: str | None, limits: Limits) -> Iterator[Record]:
    with decoded(path, encoding, limits) as stream:
        for place, raw in enumerate(elements(stream, limits.max_record_bytes), start=1):
            yield Record(raw, place)


def _rows(path: Path, encoding: str | None, limits: Limits) -> Iterator[Record]:
    """Rows of card fields, wrapped as the JSON of such a file wraps its cards."""
    source = CsvSource()
    for record in source.split(path, encoding, limits):
        mapped = source.to_card(source.context(), record.raw, {})
        if isinstance(mapped, dict):
            mapped = encoded(mapped)
        if not isinstance(mapped, bytes):
            mapped = record.raw  # it fails once more, and says why
        yield Record(b'{"code":"","message":"","card":' + mapped + b"}", record.row)
