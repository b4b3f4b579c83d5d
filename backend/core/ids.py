"""Operation ids and card ids.

An operation id is a UUIDv7 whose low 24 bits are all ones. A card made by an operation has the
operation's id with those bits replaced by the card's index in the request. Hence:

* the cards of one operation are one primary-key range, in input order;
* running the same part twice collides on the primary key instead of doubling cards;
* the uniqueness of operation ids *is* the disjointness of their card ranges, and no card shares its id
  with its operation (index 0xFFFFFF is never used: ``MAX_INDEX`` is one below).
"""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

INDEX_BITS = 24
INDEX_MASK = (1 << INDEX_BITS) - 1
MAX_INDEX = INDEX_MASK - 1

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHORT_OPERATION_BITS = 72  # the id without its index bits, without the 32 oldest bits of its timestamp
_SHORT_OPERATION_DIGITS = 13  # ceil(72 / log2(62))


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): time-ordered, so that inserts stay at the right edge of a B-tree."""
    return UUID(int=_uuid7().int)


def new_operation_id() -> UUID:
    """A fresh operation id: UUIDv7 with its low 24 bits set."""
    return UUID(int=_uuid7().int | INDEX_MASK)


def card_id(operation_id: UUID, index: int) -> UUID:
    """The id of the card at ``index`` (0-based) of an operation.

    Raises:
        ValueError: when the index does not fit 24 bits.
    """
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"card index {index} is outside 0..{MAX_INDEX}")
    return UUID(int=(operation_id.int & ~INDEX_MASK) | index)


def card_range(operation_id: UUID, first: int, count: int) -> tuple[UUID, UUID]:
    """First and last card id (both inclusive) of ``count`` cards from index ``first``."""
    return card_id(operation_id, first), card_id(operation_id, first + count - 1)


def operation_of(card: UUID) -> UUID:
    """The operation id that made a card."""
    return UUID(int=card.int | INDEX_MASK)


def index_of(card: UUID) -> int:
    """The index, in its operation's request, of a card."""
    return card.int & INDEX_MASK


def short_operation(operation_id: UUID) -> str:
    """Base-62 digits of an operation, fixed width; the first half of a card's short id."""
    number = (operation_id.int >> INDEX_BITS) & ((1 << _SHORT_OPERATION_BITS) - 1)
    digits = []
    for _ in range(_SHORT_OPERATION_DIGITS):
        number, remainder = divmod(number, 62)
        digits.append(_ALPHABET[remainder])
    return "".join(reversed(digits))


def short_card(operation_id: UUID, index: int) -> str:
    """A card's short id, as it stands in ``published_url``: fixed width, unique, safe in a URL."""
    return f"{short_operation(operation_id)}{index:06x}"
