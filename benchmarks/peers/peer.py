"""What a peer is to the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import Side
from benchmarks.rows import Cards

# Kinds of exports: a file that a job leaves behind; or one answer, streamed.
KINDS = ("json", "csv", "json stream", "csv stream")


class NotHere(Exception):
    """A peer cannot be measured on this machine; the message says why."""


def nothing(_: Cards) -> None:
    """The ``fill`` of peers that work on the service's own table."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer, set up and running.

    Attributes:
        name: as ``--against`` names it; ``title`` as the report does.
        less: what it does less than the service in the measured calls; ``more``: what it does more.
        importing: the side that imports these cards.
        exporting: by kind (of ``KINDS``), the side that exports the cards that ``fill`` put there.
        import_goal: how many times faster than it ours is promised to be at least; ``export_goal`` likewise.
        settings: for the report.
    """

    name: str
    title: str
    less: str
    more: str
    importing: Callable[[Cards], Side]
    exporting: Mapping[str, Side]
    fill: Callable[[Cards], None] = nothing
    import_goal: float | None = None
    export_goal: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """Its settings and what is not equal."""
        shown = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"Settings: {shown}. Less than ours: {self.less}. More: {self.more}."
