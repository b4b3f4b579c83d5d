"""What became of each item of a part, where that does not follow from its card-id range.

Stored with the part as zstd over JSON: a list of ``[index, outcome, card id or null]``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Outcome = tuple[int, str, str | None]


def encode(outcomes: Sequence[Outcome]) -> bytes | None:
    """Bytes for ``operation_parts.outcomes``; ``None`` when there is nothing to say."""
    if not outcomes:
        return None
    return zstd.compress(orjson.dumps(outcomes), 1)


def decode(data: bytes | None) -> list[Outcome]:
    """What ``encode`` was given."""
    if data is None:
        return []
    return [(int(index), str(outcome), card) for index, outcome, card in orjson.loads(zstd.decompress(data))]
