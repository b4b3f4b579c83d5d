"""From the JSON of a record to a card, or to what is wrong with it.

``read_card`` is the way in for one, ``read_cards`` for many, ``read_lines`` for many of which it is not known
whether they are JSON. A good card takes the fast path (one msgspec decode); only a card that fails is looked
at again, field by field, to say exactly what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from backend.cards.problems import aware, clean, find_problem, is_url
from backend.cards.schema import (
    IGNORED,
    KNOWN,
    MAX_METADATA_BYTES,
    NEWEST,
    OLDEST,
    PRIVACY_LEVELS,
    REQUIRED,
    WRAPPER,
    CardIn,
    CardProblem,
)
from backend.core.texts import Texts

_NUL = b"\\u0000"
_OBJECT_OR_NULL = (b"{", b"n")
_OPTIONAL = sorted(KNOWN - IGNORED - {*REQUIRED, "metadata"})  # what decoding reads where it is there
_optional = attrgetter(*_OPTIONAL)
_MOST_READ = len(REQUIRED) + len(_OPTIONAL)
_ignored = attrgetter(*(IGNORED - {"_error"}), "error")
_NONE_IGNORED = (UNSET,) * len(IGNORED)
_decode = msgspec.json.Decoder(CardIn).decode
_decode_all = msgspec.json.Decoder(list[CardIn]).decode


def read_cards(records: Texts, *, nul: bool = False) -> list[CardIn] | list[CardIn | CardProblem]:
    """``read_card`` of each record, quicker where all of them are good: they are decoded together.

    Args:
        records: as for ``read_card``; as many as may be in memory twice.
        nul: let NUL characters pass. PostgreSQL refuses them, and to look for them takes a fifth of the time.
    """
    block = records.block()
    try:
        if not nul and _NUL in block:
            raise ValueError
        cards = _decode_all(b"[%b]" % block)
        if len(cards) != len(records):
            raise ValueError
    except ValueError:  # msgspec's errors are
        return list(map(read_card, records.split()))
    tidy = list(map(_tidy, cards))
    if all(tidy) and max(records.lengths, default=0) <= MAX_METADATA_BYTES:
        return cards
    return [
        card if good and len(raw) <= MAX_METADATA_BYTES else read_card(raw)
        for card, good, raw in zip(cards, tidy, records.split(), strict=True)
    ]


def read_lines(records: Texts, *, nul: bool = False) -> list[CardIn] | None:
    """The cards where all of the records are good ones, and usual; ``None`` where one needs a closer look.

    Args:
        records: whether each is JSON is not known.
        nul: as for ``read_cards``.
    """
    if max(records.lengths, default=0) > MAX_METADATA_BYTES or (not nul and _NUL in records.block()):
        return None
    try:
        cards = list(map(_decode, records.split()))
    except ValueError:
        return None
    return cards if all(map(_tidy, cards)) else None


def read_card(raw: bytes) -> CardIn | CardProblem:
    """Decode and validate one record.

    Args:
        raw: the record's JSON, already known to be valid JSON (lone surrogate escapes allowed).

    Returns:
        The card with ``privacy_level`` in capitals and an empty ``source_platform`` as none (a table has
        one empty cell for both), or the first problem found. Never raises for bad input.
    """
    try:
        card = _decode(raw)
    except msgspec.MsgspecError:
        return _diagnose(raw)
    tidy = len(raw) <= MAX_METADATA_BYTES and _NUL not in raw and _tidy(card)
    return card if tidy else _diagnose(raw, card)


def members(cards: Iterable[CardIn]) -> tuple[int, list[bytes]]:
    """How many different names the cards' objects have, and the JSON of the values that decoding skipped."""
    count, skipped = 0, list[bytes]()
    for card in cards:
        count += _MOST_READ - _optional(card).count(UNSET)
        if card.metadata is not UNSET:
            skipped.append(bytes(card.metadata))
        if _ignored(card) != _NONE_IGNORED:
            skipped += [bytes(value) for value in _ignored(card) if value is not UNSET]
    return count + len(skipped), skipped


def _tidy(card: CardIn) -> bool:
    """Put level, platform and time as they are stored. Whether that was all: it needs no closer look."""
    if card.privacy_level not in PRIVACY_LEVELS:
        card.privacy_level = card.privacy_level.upper()
        if card.privacy_level not in PRIVACY_LEVELS:
            return False
    if card.source_platform == "":
        card.source_platform = None
    url, metadata = card.source_url, card.metadata
    if card.created_at:
        card.created_at = aware(card.created_at)
        if not OLDEST <= card.created_at <= NEWEST:
            return False
    # Of what is JSON and no object, null alone will do.
    return (not isinstance(url, str) or is_url(url) is not None) and (
        metadata is UNSET or bytes(metadata)[:1] in _OBJECT_OR_NULL
    )


def _diagnose(raw: bytes, card: CardIn | None = None) -> CardIn | CardProblem:
    """The slow path: say what is wrong, or find that nothing is."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return CardProblem("unreadable_row", "The record is not valid JSON")
    if not isinstance(value, dict):
        return CardProblem("not_an_object", "A card must be a JSON object")
    if value.keys() >= WRAPPER and isinstance(value["card"], dict):
        return read_card(_member(raw, "card", value))
    problem = find_problem(value)
    if problem is not None:
        title = value.get("title")
        return CardProblem(
            problem.code,
            problem.message,
            problem.field,
            clean(title[:200]) if isinstance(title, str) else None,
        )
    if card is None:
        # Valid for the rules above and refused by the decoder: a number or a date out of its range.
        return CardProblem("invalid_value", "The card has a value that cannot be read")
    card.privacy_level = card.privacy_level.upper()
    if card.source_platform == "":
        card.source_platform = None
    if card.created_at:
        card.created_at = aware(card.created_at)
    return card


def _member(raw: bytes, name: str, value: dict[str, Any]) -> bytes:
    """A member as it is written, its numbers digit by digit; written anew only where it cannot be cut out."""
    try:
        return bytes(msgspec.json.decode(raw, type=dict[str, Raw])[name])
    except msgspec.MsgspecError:  # a lone surrogate somewhere
        return json.dumps(value[name], ensure_ascii=True).encode()
