"""What one kind of work needs, whatever the kind: the part's transaction and who it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from backend.core.settings import Settings
from backend.operations.claiming import Claim
from backend.operations.store import PartResult


@dataclass(frozen=True, slots=True)
class Work:
    """One part and everything it may touch.

    ``now`` is the time of the part's transaction; ``should_stop`` says whether somebody asked for an end
    (a cancellation), for parts that run long.
    """

    connection: Connection
    claim: Claim
    settings: Settings
    now: datetime
    should_stop: Callable[[], bool]


DoPart = Callable[[Work], PartResult]


class Interrupted(Exception):
    """The part must not go on, its owner cancelled the operation; everything of the part is rolled back."""
