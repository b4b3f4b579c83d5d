"""The SQL that writes cards: PostgreSQL formats them, which is several times faster than Python.

One conventions table for every format: the same fields in the same order, times in RFC 3339 (UTC,
microseconds where there are any), ``tags`` a JSON array, ``metadata`` a JSON object, null where there is
nothing. What differs:

* JSON and NDJSON: one JSON object per card.
* CSV: null is an empty cell, the empty string a quoted one (``""``). A text cell that starts with one of
  ``= + - @``, tab or CR, which a spreadsheet would run as a formula, gets one ``'`` in front; so does one
  that starts with ``'``, which makes it reversible: who reads takes one leading ``'`` off.
* Markdown: front matter whose every line is ``key: <JSON value>``, the last one ``body_bytes``, the size of
  the body in UTF-8: several documents in one file are told apart whatever a body says.

Incremental exports also carry tombstones: ``id``, ``external_id``, ``deleted_at`` and ``tombstone``. Where
``deleted_at`` is null, the card is still there but has left the selection (or the owner's filters).
"""

from __future__ import annotations

from collections.abc import Sequence

# field, how it is written
_FIELDS: tuple[tuple[str, str], ...] = (
    ("id", "word"),
    ("title", "text"),
    ("body", "text"),
    ("category", "text"),
    ("privacy_level", "word"),
    ("tags", "array"),
    ("source_platform", "text?"),
    ("source_url", "text?"),
    ("external_id", "text?"),
    ("metadata", "json"),
    ("is_published", "flag"),
    ("published_url", "text?"),
    ("published_at", "time?"),
    ("created_at", "time"),
    ("updated_at", "time"),
)
_JSON = {
    "word": "'\"', {0}, '\"'",
    "text": "to_json({0})",
    "text?": "coalesce(to_json({0}), 'null')",
    "array": "array_to_json({0})",
    "json": "{0}",
    "flag": "{0}::text",
    "time": "to_json({0})",
    "time?": "coalesce(to_json({0}), 'null')",
}
# The guard looks at one character only, and at most at that one: long bodies are stored compressed.
_FORMULA = "61, 43, 45, 64, 9, 13, 39"
_GUARD = "CASE WHEN ascii({1}) < 65 AND ascii({1}) IN (" + _FORMULA + ") THEN '''' || {0} ELSE {0} END AS {0}"
_TIME = "replace({0}::text, ' ', 'T') || ':00' AS {0}"
_CSV = {
    "word": "{0}",
    "text": _GUARD,
    "text?": _GUARD,
    "array": "array_to_json({0}) AS {0}",
    "json": "{0}",
    "flag": "{0}::text AS {0}",
    "time": _TIME,
    "time?": _TIME,
}
TOMBSTONE = ("id", "external_id", "deleted_at")


def names(*, metadata: bool, incremental: bool) -> list[str]:
    """The fields of one card in order, as a CSV header shows them."""
    own = [name for name, _ in _fields(metadata)]
    return [*own, "deleted_at", "tombstone"] if incremental else own


def json_object(*, metadata: bool) -> str:
    """An expression: one card as a JSON object on one line (JSON escapes every control character)."""
    return _object([(name, _JSON[kind].format(name)) for name, kind in _fields(metadata)])


def json_tombstone() -> str:
    """An expression over the columns of ``TOMBSTONE``: the object that stands for a card that is gone."""
    return _object(
        [
            ("id", _JSON["word"].format("id")),
            ("external_id", _JSON["text?"].format("external_id")),
            ("deleted_at", _JSON["time?"].format("deleted_at")),
            ("tombstone", "'true'"),
        ]
    )


def csv_cells(*, metadata: bool, incremental: bool) -> str:
    """Expressions: one card as the cells of a CSV row."""
    cells = [_CSV[kind].format(name, _first_of(name)) for name, kind in _fields(metadata)]
    if incremental:
        cells += ["NULL AS deleted_at", "NULL AS tombstone"]
    return ", ".join(cells)


def csv_tombstone(*, metadata: bool) -> str:
    """Expressions over the columns of ``TOMBSTONE``: the cells of the row for a card that is gone."""
    known = {
        "id": "id",
        "external_id": _CSV["text?"].format("external_id", "external_id"),
        "deleted_at": _TIME.format("deleted_at"),
        "tombstone": "'true'",
    }
    return ", ".join(known.get(name, "NULL") for name in names(metadata=metadata, incremental=True))


def front_matter(*, metadata: bool) -> str:
    """An expression: the front matter of one card without ``body_bytes`` and the closing line."""
    parts = [(name, _JSON[kind].format(name)) for name, kind in _fields(metadata) if name != "body"]
    return _matter(parts)


def markdown(matter: str = "matter", body: str = "body") -> str:
    """An expression over ``front_matter`` and the body: the whole document."""
    size = f"E'\\nbody_bytes: ', octet_length({body})"
    return f"concat({_escaped(matter)}, {size}, E'\\n---\\n\\n', {body}, E'\\n')"


def markdown_tombstone() -> str:
    """An expression over the columns of ``TOMBSTONE``: a document without a body."""
    matter = _matter(
        [
            ("id", _JSON["word"].format("id")),
            ("external_id", _JSON["text?"].format("external_id")),
            ("deleted_at", _JSON["time?"].format("deleted_at")),
            ("tombstone", "'true'"),
        ]
    )
    return markdown(matter, "''")


def _fields(metadata: bool) -> Sequence[tuple[str, str]]:
    return [field for field in _FIELDS if metadata or field[0] != "metadata"]


def _object(parts: Sequence[tuple[str, str]]) -> str:
    pieces = ", ',".join(f'"{name}":\', {value}' for name, value in parts)
    return f"concat('{{{pieces}, '}}')"


def _matter(parts: Sequence[tuple[str, str]]) -> str:
    pieces = ", E'\\n".join(f"{name}: ', {value}" for name, value in parts)
    return f"concat(E'---\\n{pieces})"


def _escaped(matter: str) -> str:
    """Line breaks that JSON lets stand and other readers of lines do not: NEL, LS and PS, as JSON escapes.

    Text without any character beyond ASCII, which is most, is not searched.
    """
    searched = matter
    for code in ("0085", "2028", "2029"):
        searched = f"replace({searched}, U&'\\{code}', '\\u{code}')"
    return f"CASE WHEN octet_length({matter}) = char_length({matter}) THEN {matter} ELSE {searched} END"


def _first_of(name: str) -> str:
    """Where the guard looks: at a slice of a body, so that a long one is not unpacked for it."""
    return f"substr({name}, 1, 1)" if name == "body" else name
