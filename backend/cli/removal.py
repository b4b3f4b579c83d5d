"""``extrophi delete`` and ``extrophi restore``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import following, render
from backend.cli.connection import connected
from backend.cli.failures import FAILED, AsJson, UsageProblem
from backend.cli.ids import read_ids

if TYPE_CHECKING:
    from backend.client.models import Operation
    from backend.client.sync import Client

PER_OPERATION = 10_000

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Card ids; - reads them from standard input.")
]
FromFile = Annotated[
    str | None, typer.Option("--file", "-f", metavar="FILE|-", help="A file with ids, one a line.")
]
Wait = Annotated[bool, typer.Option(help="Wait for the end.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    app.command()(delete)
    app.command()(restore)


def delete(
    ids: Ids = None,
    file: FromFile = None,
    hard: Annotated[bool, typer.Option("--hard", help="For good: it cannot be undone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Delete cards: softly, so that they can be restored, or for good (--hard)."""
    wanted = read_ids(ids or [], file)
    if hard and not yes:
        if not sys.stdin.isatty():
            raise UsageProblem("A hard delete cannot be undone. Say --yes if you mean it.")
        typer.confirm(f"Delete {len(wanted):,} cards for good?", abort=True, err=True)
    _run(wanted, lambda client, some: client.delete(some, soft_delete=not hard), "delete", wait, as_json)


def restore(ids: Ids = None, file: FromFile = None, wait: Wait = True, as_json: AsJson = False) -> None:
    """Bring softly deleted cards back."""
    _run(read_ids(ids or [], file), lambda client, some: client.restore(some), "restore", wait, as_json)


def _run(
    ids: list[str],
    start: Callable[[Client, list[str]], Operation],
    what: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Start as many operations as the ids need. More than one are ``{"operations": […]}`` in JSON."""
    documents = []
    failed = False
    with connected() as client:
        for first in range(0, len(ids), PER_OPERATION):
            operation = start(client, ids[first : first + PER_OPERATION])
            if not wait:
                documents.append(operation.raw)
                if not as_json:
                    following.started(operation, as_json=False)
                continue
            final = following.follow(client, operation.id, what)
            documents.append(final.raw)
            failed = failed or not final.is_success
            if not as_json:
                following.show(final)
    if as_json:
        render.document(documents[0] if len(documents) == 1 else {"operations": documents})
    if failed:
        raise typer.Exit(FAILED)
