"""Which cards an export takes: the documented filters, and some more, as SQL with parameters.

Every filter narrows; lists mean "any of these"; a filter that is absent or null does not narrow. An empty
list is refused rather than guessed at. Words compare without case. Always for one owner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from backend.cards.schema import PRIVACY_LEVELS
from backend.core.errors import FieldError, InvalidRequest, ValidationFailed
from backend.db.session import driver

MAX_CARD_IDS = 10_000
MAX_WORDS = 1_000
MAX_WORD = 2_048
_ORDER = ("PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS")


@dataclass(frozen=True, slots=True)
class Filters:
    """A selection of one owner's living cards. ``None`` (or ``False``) does not narrow.

    Attributes:
        tags: cards that have at least one of them, spelled exactly so.
        created_after, updated_after: that moment or later.
        created_before, updated_before: earlier than that moment.
    """

    card_ids: tuple[UUID, ...] | None = None
    privacy_levels: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    published_only: bool = False
    tags: tuple[str, ...] | None = None
    source_platforms: tuple[str, ...] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it names single cards, at most 10,000."""
        return self.card_ids is not None

    def as_json(self) -> dict[str, Any]:
        """What ``validate`` reads back; only what narrows."""
        shown: dict[str, Any] = {}
        for name in NAMES:
            value = getattr(self, name)
            if isinstance(value, tuple):
                shown[name] = [str(one) for one in value]
            elif isinstance(value, datetime):
                shown[name] = value.isoformat()
            elif value:
                shown[name] = value
        return shown

    def condition(self) -> tuple[str, dict[str, Any]]:
        """The filters alone, as SQL over ``cards`` (psycopg's named placeholders) and its parameters."""
        clauses: list[str] = []
        values: dict[str, Any] = {}
        for name, clause in _CLAUSES.items():
            value = getattr(self, name)
            if value is None or value is False:
                continue
            clauses.append(clause)
            values[name] = list(value) if isinstance(value, tuple) else value
        return " AND ".join(clauses) or "true", values

    def where(self, owner: UUID) -> tuple[str, dict[str, Any]]:
        """The owner's living cards that match."""
        condition, values = self.condition()
        return f"user_id = %(owner)s AND deleted_at IS NULL AND {condition}", {"owner": owner, **values}


def _any_word(column: str, name: str) -> str:
    return f"lower({column}) IN (SELECT lower(w) FROM unnest(%({name})s::text[]) w)"  # noqa: S608 - constants


NAMES = tuple(field.name for field in fields(Filters))
_CLAUSES = {
    "card_ids": "id = ANY(%(card_ids)s::uuid[])",
    "privacy_levels": "privacy_level = ANY(%(privacy_levels)s::text[])",
    "categories": _any_word("category", "categories"),
    "published_only": "is_published",
    "tags": "tags && %(tags)s::text[]",
    "source_platforms": _any_word("source_platform", "source_platforms"),
    "created_after": "created_at >= %(created_after)s",
    "created_before": "created_at < %(created_before)s",
    "updated_after": "updated_at >= %(updated_after)s",
    "updated_before": "updated_at < %(updated_before)s",
}


def validate(raw: Mapping[str, Any]) -> Filters:
    """Read the filters among a request's fields; other fields are somebody else's.

    Raises:
        InvalidRequest: for too many card ids.
        ValidationFailed: with a pointer to each field that has a wrong type or value.
    """
    values: dict[str, Any] = {}
    problems: list[FieldError] = []
    for name, read in _READERS.items():
        given = raw.get(name)
        if given is None:
            continue
        try:
            values[name] = read(given)
        except _Wrong as wrong:
            problems.append(FieldError(f"/{name}{wrong.below}", wrong.detail))
    if problems:
        raise ValidationFailed("Request body is not valid", errors=tuple(problems))
    return Filters(**values)


def count(connection: Connection, owner: UUID, filters: Filters, cap: int) -> int:
    """How many cards match now, at most ``cap``."""
    where, values = filters.where(owner)
    query = f"SELECT count(*) FROM (SELECT FROM cards WHERE {where} LIMIT %(cap)s) s"  # noqa: S608 - constants
    row = driver(connection).execute(query.encode(), {**values, "cap": cap}).fetchone()
    return int(row[0]) if row else 0


class _Wrong(Exception):
    def __init__(self, detail: str, below: str = "") -> None:
        self.detail = detail
        self.below = below


def _list(given: Any, what: str) -> list[Any]:
    if not isinstance(given, list | tuple):
        raise _Wrong(f"must be an array of {what}, or null")
    if not given:
        raise _Wrong("must not be empty; leave it out for all cards")
    return list(given)


def _ids(given: Any) -> tuple[UUID, ...]:
    ids = _list(given, "card ids")
    if len(ids) > MAX_CARD_IDS:
        raise InvalidRequest(f"Maximum {MAX_CARD_IDS:,} cards per export operation")
    read = []
    for index, one in enumerate(ids):
        try:
            read.append(one if isinstance(one, UUID) else UUID(one))
        except (ValueError, AttributeError, TypeError):
            raise _Wrong("is not a card id", f"/{index}") from None
    return tuple(sorted(set(read)))


def _words(given: Any) -> tuple[str, ...]:
    words = _list(given, "strings")
    if len(words) > MAX_WORDS:
        raise _Wrong(f"has more than {MAX_WORDS} entries")
    for index, word in enumerate(words):
        if not isinstance(word, str):
            raise _Wrong("must be a string", f"/{index}")
        if len(word) > MAX_WORD:
            raise _Wrong("is too long", f"/{index}")
        if "\0" in word or any("\ud800" <= char <= "\udfff" for char in word):
            raise _Wrong("contains characters that cannot be stored", f"/{index}")
    return tuple(dict.fromkeys(words))


def _levels(given: Any) -> tuple[str, ...]:
    words = _words(given)
    for index, word in enumerate(words):
        if word.upper() not in PRIVACY_LEVELS:
            raise _Wrong(f"must be one of {', '.join(_ORDER)}", f"/{index}")
    return tuple(dict.fromkeys(word.upper() for word in words))


def _flag(given: Any) -> bool:
    if not isinstance(given, bool):
        raise _Wrong("must be true or false")
    return given


def _time(given: Any) -> datetime:
    try:
        when = msgspec.convert(given, datetime) if isinstance(given, str) else None
    except msgspec.ValidationError:
        when = None
    if when is None:
        raise _Wrong("must be a time (RFC 3339), for example 2026-01-31T12:00:00Z")
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


_READERS: dict[str, Callable[[Any], Any]] = {
    "card_ids": _ids,
    "privacy_levels": _levels,
    "categories": _words,
    "published_only": _flag,
    "tags": _words,
    "source_platforms": _words,
    "created_after": _time,
    "created_before": _time,
    "updated_after": _time,
    "updated_before": _time,
}
