"""Following an operation to its end with a bar that moves, and showing how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from backend.cli import render
from backend.cli.failures import FAILED

if TYPE_CHECKING:
    from rich.console import Console

    from backend.client.calls.download import OnProgress
    from backend.client.models import Operation, Status
    from backend.client.sync import Client

SHOWN_ERRORS = 10
INTERRUPTED = 130


def follow(
    client: Client, task_id: str, what: str, *, console: Console | None = None, interval: float = 0.25
) -> Status:
    """The final status; until then a bar, on stderr unless said otherwise. Ctrl-C stops the watching only.

    Args:
        interval: seconds between two looks, in the end; the first ones come sooner.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    final: Status | None = None
    try:
        with Progress(*columns, console=console or render.err()) as bars:
            bar = bars.add_task(what, total=None)
            for status in client.progress(task_id, interval=interval):
                if status.progress is not None:
                    bars.update(bar, completed=status.progress.current, total=status.progress.total)
                elif status.is_success:
                    total = _items(status.result or {})
                    bars.update(bar, completed=total, total=total)
                final = status
    except KeyboardInterrupt:
        render.say(f"The operation goes on. Follow it with: extrophi status {task_id} --watch")
        raise typer.Exit(INTERRUPTED) from None
    assert final is not None  # progress() gives at least the final one
    return final


@contextmanager
def bytes_bar(what: str) -> Iterator[OnProgress]:
    """A bar for bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=render.err()) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda here, total: bars.update(bar, completed=here, total=total)


def started(operation: Operation, *, as_json: bool) -> None:
    """Show an operation that is not waited for."""
    if as_json:
        render.document(operation.raw)
        return
    render.out().print(operation.id)
    render.say(f"{operation.message}. Follow it with: extrophi status {operation.id} --watch")


def ended(status: Status, *, as_json: bool) -> None:
    """Show how an operation ended.

    Raises:
        typer.Exit: with 1 when it failed.
    """
    if as_json:
        render.document(status.raw)
    else:
        show(status)
    if status.is_final and not status.is_success:
        raise typer.Exit(FAILED)


def show(status: Status) -> None:
    """A status for people: its figures, and its first errors."""
    figures: dict[str, Any] = {"operation": status.id, "status": status.state}
    if status.progress is not None:
        figures["progress"] = (
            f"{status.progress.current} of {status.progress.total} ({status.progress.percent} %)"
        )
    result = dict(status.result or {})
    errors = result.pop("errors", None) or []
    figures |= result
    if status.error is not None:
        figures["error"] = status.error
    if status.completed_at is not None:
        figures["completed_at"] = status.completed_at
    render.facts(figures)
    if errors:
        show_errors(status.id, errors, int(result.get("cards_failed", len(errors))))


def show_errors(task_id: str, errors: list[dict[str, Any]], failed: int) -> None:
    """The first errors of an operation, and how to get all of them."""
    rows = [
        [one.get("index"), one.get("title"), one.get("field"), one.get("code"), one.get("message")]
        for one in errors[:SHOWN_ERRORS]
    ]
    render.table(("index", "title", "field", "code", "message"), rows)
    render.say(
        f"{failed:,} failed. All of them, as sent: extrophi errors {task_id} -o failed.ndjson", style="yellow"
    )


def _items(result: dict[str, Any]) -> int:
    names = ("cards_imported", "cards_updated", "cards_skipped", "cards_failed")
    others = ("cards_exported", "cards_deleted", "cards_restored")
    return sum(int(result.get(name, 0)) for name in names + others) or 1
