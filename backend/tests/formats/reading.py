"""A file through a source as the service takes it: split, staged, mapped, validated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from backend.cards.reading import read_card
from backend.cards.schema import CardIn, CardProblem
from backend.formats.base import ItemProblem, Limits
from backend.formats.fields import encoded
from backend.formats.registry import to_card
from backend.formats.sources import Source

Outcome = CardIn | CardProblem | ItemProblem


def outcomes(
    source: Source,
    data: bytes | Path,
    folder: Path,
    options: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    encoding: str | None = None,
) -> list[tuple[int | None, Outcome]]:
    """Each record's row, and the card it becomes or why it does not."""
    path = data if isinstance(data, Path) else folder / "upload"
    if isinstance(data, bytes):
        path.write_bytes(data)
    records = list(source.split(path, encoding, limits or Limits()))
    context = json.loads(json.dumps(source.context()))
    found: list[tuple[int | None, Outcome]] = []
    for record in records:
        mapped = to_card(source.name, context, record.raw, options or {})
        if isinstance(mapped, dict):
            mapped = encoded(mapped)
        found.append((record.row, mapped if isinstance(mapped, ItemProblem) else read_card(mapped)))
    return found


def cards(source: Source, data: bytes | Path, folder: Path, **more: Any) -> list[dict[str, Any]]:
    """The cards of a file whose every record is one, without the fields that they have not."""
    made = []
    for row, card in outcomes(source, data, folder, **more):
        assert isinstance(card, CardIn), (row, card)
        fields = {name: getattr(card, name) for name in card.__struct_fields__}
        made.append(
            {
                name: json.loads(bytes(value)) if isinstance(value, msgspec.Raw) else value
                for name, value in fields.items()
                if value is not None and value is not msgspec.UNSET and value != []
            }
        )
    return made
