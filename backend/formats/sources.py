"""What every source is: a file in, its records out, and each record mapped to a card.

``split`` runs where the file arrives and only cuts; ``to_card`` runs in the worker on one staged record,
with the ``context`` that ``split`` found (a CSV's header, Anki's header lines, the Twitter account).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from backend.formats.base import Batch, ItemProblem, Limits, Record, batched
from backend.formats.fields import CARD_FIELDS, RawObject, encoded
from backend.formats.strict_json import raw_members

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
# What an entry of an errors file wraps around the record as it was sent.
WRAPPER = frozenset({"card", "code", "message"})
_CARD = frozenset({"title", "body", "category", "privacy_level"})


class Source(ABC):
    """One kind of file. Make a new one for each file: it remembers the file's context."""

    name: str

    def __init__(self) -> None:
        self._context: dict[str, Any] = {}

    def context(self) -> dict[str, Any]:
        """What ``to_card`` must know of the file; JSON-able, complete once the first record was yielded."""
        return self._context

    @abstractmethod
    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        """Yield the file's records, one at a time.

        Args:
            path: the upload as it was sent.
            encoding: its Content-Encoding, ``None`` for none.
            limits: caps on what it may unfold into.

        Raises:
            MalformedBody: it is not what the preset reads. PayloadTooLarge: it is beyond a cap.
        """

    def batches(self, path: Path, encoding: str | None, limits: Limits) -> Iterator[Batch]:
        """The same records, some at a time: to be staged, not to be looked at."""
        return batched(self.split(path, encoding, limits))

    @classmethod
    @abstractmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | ItemProblem | None:
        """The card of one decoded record; ``None`` where the record has not the source's shape."""

    @classmethod
    def to_card(
        cls, context: Mapping[str, Any], raw: bytes, options: Mapping[str, Any]
    ) -> dict[str, Any] | bytes | ItemProblem:
        """Map one staged record. Never raises for what stands in it; the card is still to be validated."""
        try:
            record = _decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            return _unreadable(raw)
        if isinstance(record, dict) and record.keys() >= WRAPPER:
            if isinstance(record.get("context"), dict):
                context = {**context, **record["context"]}
            record = record["card"]
            if isinstance(record, dict) and record.keys() >= _CARD and record.keys() <= set(CARD_FIELDS):
                return raw_members(raw)["card"]  # the card that such a record made, mended
        if isinstance(record, dict) and isinstance(record.get("unreadable"), str):
            return ItemProblem("unreadable_row", record["unreadable"])
        card = cls.card(context, record, options)
        if card is None:
            return ItemProblem("unreadable_row", f"The record is not one of {cls.name}")
        return (
            encoded(card) if isinstance(card, dict) and isinstance(card.get("metadata"), RawObject) else card
        )


def to_record(value: Any, row: int | None) -> Record:
    """A record out of plain values."""
    return Record(_encode(value), row)


def _unreadable(raw: bytes) -> ItemProblem:
    """Why it was not decoded: a lone surrogate is valid JSON, and can still not be stored."""
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return ItemProblem("unreadable_row", "The record cannot be read")
    return ItemProblem("unstorable", "The record contains characters that cannot be stored")


def is_row(record: Any) -> bool:
    """Whether it is a list of strings."""
    return isinstance(record, list) and all(isinstance(cell, str) for cell in record)
