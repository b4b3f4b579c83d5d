"""Arrays as PostgreSQL reads them: one text, because the driver adapts a list value by value."""

from __future__ import annotations

from collections.abc import Iterable


def uuid_array(values: Iterable[str]) -> str:
    """A ``uuid[]`` literal of ids in digits, with or without hyphens."""
    return "{" + ",".join(values) + "}"


def text_array(values: Iterable[str]) -> str:
    """A ``text[]`` literal; also where ``unnest`` would flatten an array of arrays."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
