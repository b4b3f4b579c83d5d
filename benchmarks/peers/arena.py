"""Where peers are measured: one stack, its PostgreSQL, our side, and the cards that every side gets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from backend.core.ids import new_operation_id
from benchmarks import rows, servers
from benchmarks.figures import Measurement
from benchmarks.measure import Side, alternate, once
from benchmarks.options import Options
from benchmarks.peers import service
from benchmarks.peers.peer import KINDS, Peer

GROUP = "peers"
WARM_UP = 2_000  # cards of the imports that are not counted: a whole one takes some peers half a minute
EXPORTS = 2  # times as many cards are exported, so that fixed costs do not decide

Seconds = Mapping[str, tuple[float, ...]]
# Sets a peer up that was found on this machine. Raises ``NotHere`` when it does not start.
Opener = Callable[["Arena"], AbstractContextManager[Peer]]


class Arena:
    """One server and what is asked of every side of it."""

    def __init__(
        self,
        stack: servers.RunningStack,
        ours: service.Service,
        folder: Path,
        options: Options,
        children: int,
    ) -> None:
        self.stack = stack
        self.folder = folder
        self.options = options
        self.cards = rows.Cards(options.cards, options.seed)
        self.exported = rows.Cards(options.cards * EXPORTS, options.seed + 1)
        self.user = stack.new_user()
        self._ours = ours
        self._children = children

    def imports(self, peers: list[Peer]) -> Iterator[Measurement]:
        """The same cards into an empty table."""

        def sides(cards: rows.Cards) -> dict[str, Side]:
            own = {"COPY": service.copy_in(self.stack, cards), "ours": self._ours.importing(cards)}
            return own | {peer.name: peer.importing(cards) for peer in peers}

        few = min(WARM_UP, len(self.cards))
        alternate(sides(rows.Cards(few, self.options.seed)), 1, warm_up=False)
        seconds = alternate(sides(self.cards), self.options.rounds, warm_up=False)
        for peer in peers:
            yield self._measurement("import", peer, peer.import_goal, len(self.cards), seconds, peer.note)

    def exports(self, peers: list[Peer]) -> Iterator[Measurement]:
        """The same cards of one owner into a file; kind by kind, those peers that have it."""
        self._fill()
        for peer in peers:
            peer.fill(self.exported)
        ours = self._ours.exports(len(self.exported), self.user[1])
        for kind in KINDS:
            asked = [peer for peer in peers if kind in peer.exporting]
            if not asked:
                continue
            limit = service.copy_out(self.stack, self.user[0], len(self.exported), self.folder)
            sides = {"COPY": limit, "ours": ours[kind]} | {peer.name: peer.exporting[kind] for peer in asked}
            for name, side in sides.items():
                once(name, side)
            seconds = alternate(sides, self.options.few_rounds, warm_up=False)
            for peer in asked:
                yield self._measurement(f"export {kind}", peer, peer.export_goal, len(self.exported), seconds)

    def _fill(self) -> None:
        """The cards to export, as one owner's, in a table that holds nothing else."""
        self.stack.empty()
        lines = self.exported.copy_lines(self.user[0], new_operation_id(), datetime.now(UTC))
        with self.stack.connect() as connection:
            rows.raw_copy(connection, lines, len(lines))
        self.stack.settle("cards")

    def _measurement(
        self, what: str, peer: Peer, goal: float | None, count: int, seconds: Seconds, note: str = ""
    ) -> Measurement:
        """Ours beside a peer's; both beside COPY's, round for round, in the details and the note."""
        copy, ours, theirs = seconds["COPY"], seconds["ours"], seconds[peer.name]
        own, other = _of_copy(copy, ours), _of_copy(copy, theirs)
        return Measurement(
            group=GROUP,
            name=f"{what}, {peer.name}",
            cards=count,
            ours=ours,
            limit=theirs,
            against=peer.title,
            goal=goal,
            note=f"ours {own:.2f} of COPY, {peer.title} {other:.3f}. {note}".strip(),
            details={
                "copy_seconds": [round(value, 6) for value in copy],
                "ours_of_copy": round(own, 4),
                "peer_of_copy": round(other, 4),
                "settings": dict(peer.settings),
                "less": peer.less,
                "more": peer.more,
                "our_worker_children": self._children,
            },
        )


@contextmanager
def open_arena(options: Options) -> Iterator[Arena]:
    """Start the stack with as many Celery children as it starts by itself, and a folder for every file."""
    children = (os.cpu_count() or 1) + 1
    with (
        servers.stack(children=children) as stack,
        tempfile.TemporaryDirectory(prefix="peers-") as name,
        service.Service(stack, Path(name)) as ours,
    ):
        yield Arena(stack, ours, Path(name), options, children)


def _of_copy(copy: tuple[float, ...], seconds: tuple[float, ...]) -> float:
    """The median of COPY's seconds / these, round by round."""
    return median(limit / taken for limit, taken in zip(copy, seconds, strict=True))
