"""What the first records of a file would become, nothing stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from backend.formats.base import ItemProblem, Limits
from backend.formats.sources import Source


def preview(
    source: Source,
    path: Path,
    encoding: str | None,
    options: Mapping[str, Any],
    limits: Limits,
    rows: int = 20,
) -> list[dict[str, Any]]:
    """The first records as they would be imported, nothing stored and nothing read beyond them.

    Args:
        source: a new source, as ``source_for`` gives it.
        path, encoding, limits: as for ``split``.
        options: ``default_category``, ``default_privacy_level``.
        rows: how many at most.

    Returns:
        Per record ``{"index", "row", "card"}``, or ``{"index", "row", "code", "message", "field"}`` for one
        that cannot be mapped. The card is not validated here: that is ``backend.cards.reading``'s.

    Raises:
        MalformedBody, PayloadTooLarge, UnsupportedMedia: as for ``split``.
    """
    shown: list[dict[str, Any]] = []
    with closing(source.split(path, encoding, limits)) as records:
        for index, record in enumerate(islice(records, rows)):
            mapped = source.to_card(source.context(), record.raw, options)
            entry: dict[str, Any] = {"index": index, "row": record.row}
            if isinstance(mapped, ItemProblem):
                entry |= {"code": mapped.code, "message": mapped.message, "field": mapped.field}
            else:
                entry["card"] = json.loads(mapped) if isinstance(mapped, bytes) else mapped
            shown.append(entry)
    return shown
