"""``extrophi errors`` and ``extrophi results``: what became of each card."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import render
from backend.cli.connection import connected
from backend.cli.failures import AsJson, UsageProblem
from backend.cli.formats import FileFormat, of_name, refuse_terminal

if TYPE_CHECKING:
    from backend.client.sync import Client

Id = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")]
Limit = Annotated[int, typer.Option(min=1, help="How many a table shows; --json and files have all.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    app.command()(errors)
    app.command()(results)


def errors(
    task_id: Id,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="As a file of this format. [default: by -o's name]"),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE|-", help="Where the file goes.")
    ] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Every failed card of an operation, with the reason; as a file to mend and import again."""
    with connected() as client:
        if as_json and (output is not None or file_format is not None):
            raise UsageProblem("--json is a document on standard output; leave --format and -o out.")
        if as_json:
            render.streamed_document("errors", (one.raw for one in client.errors(task_id)))
        elif output is not None or file_format is not None:
            _write(client, task_id, file_format or of_name(output or "-") or FileFormat.NDJSON, output or "-")
        else:
            found = list(islice(client.errors(task_id), limit + 1))
            rows = [
                [one.index, one.row, one.field, one.code, one.message, _title(one.card)]
                for one in found[:limit]
            ]
            render.table(("index", "row", "field", "code", "message", "title"), rows)
            _mention_more(found, limit, f"extrophi errors {task_id} -o failed.ndjson")


def _write(client: Client, task_id: str, file_format: FileFormat, output: str) -> None:
    if output != "-":
        client.download_errors(task_id, output, format=file_format.value)
        render.say(f"Mend it and import it again: extrophi import {output}")
        return
    refuse_terminal(file_format)
    with tempfile.TemporaryDirectory(prefix="extrophi-") as folder:
        path = Path(folder, "errors")
        client.download_errors(task_id, path, format=file_format.value)
        render.file(path)


def results(task_id: Id, limit: Limit = 100, as_json: AsJson = False) -> None:
    """What became of every card of an operation: its index, outcome and card id."""
    with connected() as client:
        if as_json:
            render.streamed_document("results", (one.raw for one in client.results(task_id)))
            return
        found = list(islice(client.results(task_id, page_size=min(limit + 1, 1000)), limit + 1))
    rows = [[one.index, one.outcome, one.card_id] for one in found[:limit]]
    render.table(("index", "outcome", "card"), rows)
    _mention_more(found, limit, f"extrophi results {task_id} --json")


def _title(card: object) -> object:
    return card.get("title") if isinstance(card, dict) else None


def _mention_more(found: Sequence[object], limit: int, command: str) -> None:
    if len(found) > limit:
        render.say(f"There are more: {command}")
