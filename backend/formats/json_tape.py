"""What simdjson's tape tells of JSON arrays, in a fraction of the time that decoding them takes.

The tape has the members of objects as they were written, equal names included, and makes no Python object of
a value that nobody asks for: the texts of a body are never made. What simdjson does not take may be JSON
nevertheless (integers beyond 64 bits, lone surrogates); others have to look at that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from simdjson import Object, Parser

_METADATA = "metadata"
_metadata = itemgetter(_METADATA)
_OBJECTS = frozenset({Object})


class Tape:
    """simdjson's parser and its memory, kept from one array to the next: some bytes per byte of the largest.

    For one thread. What it read must be gone when it reads again, so nothing of that leaves a method.
    """

    def __init__(self) -> None:
        self._parser = Parser()

    def members(self, array: bytes) -> int | None:
        """How many members the objects in an array have, equal names included; not those deeper down.

        ``None`` where something else is in it, and where simdjson does not take it.
        """
        objects = self._objects(array)
        return None if objects is None else sum(map(len, objects))

    def openings(self, array: bytes) -> list[int] | None:
        """How many braces each object in an array opens outside its texts, if it holds none but metadata.

        ``None`` as for ``members``, and where a name occurs twice in one of them or in its metadata.
        """
        objects = self._objects(array)
        if objects is None:
            return None
        names, alike = _names(objects)
        if not alike:
            values = [
                _metadata(one) if _METADATA in some else None
                for one, some in zip(objects, names, strict=True)
            ]
        elif names and _METADATA in names[0]:
            values = list(map(_metadata, objects))
        else:
            values = [None] * len(names)
        holding = [type(value) is Object for value in values]
        inner, inner_alike = _names(list(compress(values, holding)))
        if not _all_differ(names, alike) or not _all_differ(inner, inner_alike):
            return None
        return [1 + holds for holds in holding]

    def _objects(self, array: bytes) -> Sequence[Any] | None:
        """The array's elements, where all of them are objects."""
        try:
            elements = list(self._parser.parse(array))  # type: ignore[arg-type]
        except (ValueError, RuntimeError):
            return None
        return elements if _OBJECTS.issuperset(map(type, elements)) else None


def _names(objects: Sequence[Any]) -> tuple[list[list[str]], bool]:
    """The names in each, and whether they are the same ones in all, as good as always."""
    names = list(map(list, objects))
    return names, not names or names.count(names[0]) == len(names)


def _all_differ(names: list[list[str]], alike: bool) -> bool:
    """Whether no list has a name twice."""
    if alike:
        names = names[:1]
    return sum(map(len, names)) == sum(map(len, map(frozenset, names)))
