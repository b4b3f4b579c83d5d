"""Running a file through a preset as the service does: split, staged as JSON, mapped, validated."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.cards.reading import read_card
from backend.cards.schema import CardIn
from backend.formats.base import ItemProblem, Limits
from backend.formats.presets.registry import PRESETS


def imported(
    name: str, path: Path, options: Mapping[str, Any] | None = None, limits: Limits | None = None
) -> list[dict[str, Any]]:
    """The cards of all records; fails when a single one is refused."""
    source = PRESETS[name].source()
    records = list(source.split(path, None, limits or Limits()))
    context = json.loads(json.dumps(source.context()))
    cards = []
    for record in records:
        card = source.to_card(context, record.raw, options or {})
        assert not isinstance(card, ItemProblem), (record, card)
        read = read_card(json.dumps(card).encode())
        assert isinstance(read, CardIn), (record, read)
        cards.append(card)
    return cards
