"""``extrophi status``, ``operations``, ``cancel``, ``retry`` and ``undo``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import following, render
from backend.cli.connection import connected
from backend.cli.failures import AsJson

if TYPE_CHECKING:
    from backend.client.models import Operation
    from backend.client.sync import Client

Id = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")]
Wait = Annotated[bool, typer.Option(help="Wait for the end.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    app.command()(status)
    app.command()(operations)
    app.command()(cancel)
    app.command()(retry)
    app.command()(undo)


def status(
    task_id: Id,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Where an operation is; --watch follows it to its end. Exits with 1 when it failed."""
    with connected() as client:
        found = following.follow(client, task_id, "operation") if watch else client.status(task_id)
    following.ended(found, as_json=as_json)


def operations(
    kind: Annotated[str | None, typer.Option(help="import, export, delete, …")] = None,
    state: Annotated[str | None, typer.Option("--status", help="PENDING, STARTED, SUCCESS, …")] = None,
    since: Annotated[str | None, typer.Option(help="Not older than this (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the operations, newest first."""
    with connected() as client:
        pages = client.operations(kind=kind, status=state, since=since, page_size=min(limit, 100))
        found = list(islice(pages, limit))
    if as_json:
        render.document({"operations": [one.raw for one in found]})
        return
    rows = []
    for one in found:
        progress = one.raw.get("progress") or {}
        done = f"{progress['current']:,} of {progress['total']:,}" if progress else ""
        rows.append([one.id, one.kind, one.state, done, one.created_at])
    render.table(("operation", "kind", "state", "cards", "created"), rows)


def cancel(task_id: Id, as_json: AsJson = False) -> None:
    """Stop an operation after the parts in flight. What is done stays done."""
    with connected() as client:
        found = client.cancel(task_id)
    if as_json:
        render.document(found.raw)
    else:
        following.show(found)


def retry(task_id: Id, wait: Wait = True, as_json: AsJson = False) -> None:
    """Start a new operation of the failed cards only."""
    with connected() as client:
        _finish(client, client.retry(task_id), "retry", wait, as_json)


def undo(task_id: Id, wait: Wait = True, as_json: AsJson = False) -> None:
    """Delete what an import made, or restore what a delete removed."""
    with connected() as client:
        _finish(client, client.undo(task_id), "undo", wait, as_json)


def _finish(client: Client, operation: Operation, what: str, wait: bool, as_json: bool) -> None:
    if wait:
        following.ended(following.follow(client, operation.id, what), as_json=as_json)
    else:
        following.started(operation, as_json=as_json)
