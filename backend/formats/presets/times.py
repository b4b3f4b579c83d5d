"""The ways in which exports write a time, read as RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march", "mar"),
            ("april", "apr"),
            ("may", "may"),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sep", "sept"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        ),
        start=1,
    )
    for name in names
}
_CLOCK = (
    r"(?:[ ,T]+(?:at\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_ZONE = r"(?:\s*\(?(?:UTC|GMT|Z)?(?P<offset>[+-]\d{1,2}(?::?\d{2})?)?\)?)"
# "January 5, 2024 3:04 PM" (Notion), "Jan 5, 2024", "5 January 2024", "2024/01/05 15:04"
_WRITTEN = tuple(
    re.compile(pattern + _CLOCK + _ZONE + r"\Z")
    for pattern in (
        r"(?:[A-Za-z]+,\s+)?(?P<month>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
        r"(?:[A-Za-z]+,\s+)?(?P<day>\d{1,2})\.?\s+(?P<month>[A-Za-z]{3,9})\.?,?\s+(?P<year>\d{4})",
        r"(?P<year>\d{4})[/-](?P<month>\d{1,2})[/-](?P<day>\d{1,2})",
    )
)
# "Wed Oct 10 20:19:24 +0000 2018": a tweet's created_at
_TWEET = re.compile(
    r"[A-Za-z]{3} (?P<month>[A-Za-z]{3}) (?P<day>\d{1,2}) (?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
    r" (?P<offset>[+-]\d{4}) (?P<year>\d{4})\Z"
)
_LONGEST = 80


def read_time(text: str) -> str | None:
    """RFC 3339 in UTC, or ``None`` for what is no time.

    Understood: ISO 8601 (with a space too), ``January 5, 2024 3:04 PM``, ``5 Jan 2024``, ``2024/01/05``
    and a tweet's ``Wed Oct 10 20:19:24 +0000 2018``; of a range ``A → B`` its start. Month names are
    English, as the products write them. A time without an offset is taken as UTC.
    """
    bare = text.strip().split(" → ", 1)[0].strip()
    if not bare or len(bare) > _LONGEST or not any(letter.isdigit() for letter in bare):
        return None
    when = _iso(bare) or _written(bare)
    if when is None or not 2 <= when.year <= 9998:  # room for the shift to UTC
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat()


def _iso(text: str) -> datetime | None:
    if "-" not in text:  # a bare "20240501" or "1700000000" says nothing for sure
        return None
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return None


def _written(text: str) -> datetime | None:
    for pattern in (_TWEET, *_WRITTEN):
        found = pattern.match(text)
        if found is not None:
            return _from_parts(found.groupdict())
    return None


def _from_parts(parts: dict[str, str | None]) -> datetime | None:
    month_text = parts["month"] or ""
    month = int(month_text) if month_text.isdigit() else _MONTHS.get(month_text.lower())
    if month is None:
        return None
    hour = int(parts["hour"] or 0)
    half = (parts.get("half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return datetime(
            int(parts["year"] or 0),
            month,
            int(parts["day"] or 0),
            hour,
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            tzinfo=_offset(parts.get("offset")),
        )
    except ValueError:
        return None


def _offset(text: str | None) -> timezone:
    """``+0530``, ``-5``, ``+01:00``; none is UTC. Raises ValueError beyond a day."""
    if not text:
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
    shift = timedelta(hours=hours, minutes=minutes)
    return timezone(-shift if text[0] == "-" else shift)
