"""Peers in the same run: the same cards in and out, ours and each peer in turn on the same PostgreSQL server.

Ours is the whole service over HTTP (POST to SUCCESS, POST to the downloaded file, or one streamed GET); the
libraries run without HTTP or queue in a warm process of their own. Every file and every table is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.figures import Figure, Result
from benchmarks.options import Options
from benchmarks.peers import directus, table_peers
from benchmarks.peers.arena import GROUP, Opener, open_arena
from benchmarks.peers.peer import NotHere


def run(options: Options) -> Iterator[Result]:
    """Measure ``options.against``: imports of ``options.cards``, exports of twice as many.

    Yields:
        A comparison per peer and question: the peer's seconds / ours. For a peer that cannot be had here a
        figure that says so and why.

    Raises:
        WrongCount: a side lost or doubled cards.
    """
    finders = {"django": table_peers.django, "orm": table_peers.orm, "directus": directus.directus}
    here: dict[str, Opener] = {}
    for name in options.against:
        try:
            here[name] = finders[name](options)
        except NotHere as reason:
            yield _missing(name, reason)
    if not here:
        return
    with open_arena(options) as arena, ExitStack() as started:
        peers = []
        for name, opener in here.items():
            try:
                peers.append(started.enter_context(opener(arena)))
            except NotHere as reason:
                yield _missing(name, reason)
        if peers:
            yield from arena.imports(peers)
            yield from arena.exports(peers)


def _missing(name: str, reason: NotHere) -> Figure:
    return Figure(GROUP, f"{name}: not measured", 0, "rounds", note=str(reason))
