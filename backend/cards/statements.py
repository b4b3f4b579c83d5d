"""The statements of one selection of cards: COPY … TO STDOUT, formatted by PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from backend.cards import columns
from backend.cards.filters import Filters
from backend.cards.watermark import CHANGED, Watermark

_SLUG_SOURCE = 120  # characters of a title that its slug is made of


@dataclass(frozen=True, slots=True)
class Selection:
    """What to stream.

    Attributes:
        shape: ``json`` (objects, each after a comma and a line break), ``ndjson``, ``csv``, ``markdown``, or
            ``files`` (named documents).
        since: the watermark of an earlier export: only what changed, and tombstones.
    """

    owner: UUID
    shape: str
    filters: Filters = field(default_factory=Filters)
    metadata: bool = True
    since: Watermark | None = None


class Statements:
    """The statements of one selection. ``{where}`` in them stands for the condition."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._incremental = selection.since is not None

    def where(self) -> tuple[str, dict[str, Any]]:
        """The cards that match, and the values that suit ``cards()``."""
        where, values = self._selection.filters.where(self._selection.owner)
        if self._selection.since is None:
            return where, values
        return f"{where} AND {CHANGED}", values | {"since": self._selection.since.snapshot}

    def gone(self) -> tuple[str, dict[str, Any]]:
        """Changed cards that are deleted or match no more; the values suit ``tombstones()``."""
        condition, values = self._selection.filters.condition()
        where = f"user_id = %(owner)s AND {CHANGED} AND (deleted_at IS NOT NULL OR ({condition}) IS NOT TRUE)"
        if self._selection.filters.card_ids is not None:
            where += " AND id = ANY(%(card_ids)s::uuid[])"
        assert self._selection.since is not None
        return where, values | {
            "owner": self._selection.owner,
            "since": self._selection.since.snapshot,
        }

    def cards(self) -> str:
        """COPY of the cards, ordered by id."""
        metadata = self._selection.metadata
        source = "FROM cards WHERE {where} ORDER BY id"
        match self._selection.shape:
            case "json" | "ndjson":
                document = self._framed(columns.json_object(metadata=metadata))
                return f"COPY (SELECT {document} {source}) TO STDOUT (FORMAT binary)"
            case "csv":
                cells = columns.csv_cells(metadata=metadata, incremental=self._incremental)
                return f"COPY (SELECT {_braces(cells)} {source}) TO STDOUT (FORMAT csv)"
            case "markdown" | "files":
                named = self._selection.shape == "files"
                matter = _braces(columns.front_matter(metadata=metadata))
                head = f"left(title, {_SLUG_SOURCE}), id::text, " if named else ""
                # The inner query is sorted, so PostgreSQL evaluates the front matter in it, once per card.
                inner = f"SELECT {matter} AS matter, id, title, body {source}"
                document = f"SELECT {head}{columns.markdown()} FROM ({inner}) s ORDER BY id"  # noqa: S608
                return f"COPY ({document}) TO STDOUT (FORMAT binary)"
            case other:
                raise ValueError(f"unknown shape {other}")

    def tombstones(self) -> str:
        """COPY of what stands for cards that are gone, softly, for good, or from the selection."""
        hard = f"user_id = %(owner)s AND {CHANGED}"
        if self._selection.filters.card_ids is not None:
            hard += " AND card_id = ANY(%(card_ids)s::uuid[])"
        soft = "SELECT id, external_id, deleted_at FROM cards WHERE {where}"
        erased = f"SELECT card_id, external_id, deleted_at FROM card_tombstones WHERE {hard}"  # noqa: S608
        source = f"FROM ({soft} UNION ALL {erased}) gone ORDER BY id"
        match self._selection.shape:
            case "json" | "ndjson":
                document = self._framed(columns.json_tombstone())
                return f"COPY (SELECT {document} {source}) TO STDOUT (FORMAT binary)"
            case "csv":
                cells = columns.csv_tombstone(metadata=self._selection.metadata)
                return f"COPY (SELECT {_braces(cells)} {source}) TO STDOUT (FORMAT csv)"
            case _:
                head = "'', 'tombstones/' || id, " if self._selection.shape == "files" else ""
                document = _braces(columns.markdown_tombstone())
                return f"COPY (SELECT {head}{document} {source}) TO STDOUT (FORMAT binary)"

    def _framed(self, document: str) -> str:
        document = _braces(document).removesuffix(")")
        if self._selection.shape == "json":
            return document.replace("concat(", "concat(E',\\n', ", 1) + ")"
        return f"{document}, E'\\n')"


def _braces(expression: str) -> str:
    """An expression inside a template that ``str.format`` fills."""
    return expression.replace("{", "{{").replace("}", "}}")
