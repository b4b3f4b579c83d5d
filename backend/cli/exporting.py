"""``extrophi export``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.cli import following, render
from backend.cli.connection import connected
from backend.cli.failures import AsJson, UsageProblem
from backend.cli.formats import Compression, FileFormat, refuse_terminal
from backend.cli.ids import read_ids

if TYPE_CHECKING:
    from backend.client.models import Status
    from backend.client.sync import Client


def register(app: typer.Typer) -> None:
    """Add the command to the ``extrophi`` program."""
    app.command("export")(export)


def export(
    file_format: Annotated[FileFormat, typer.Option("--format", help="What to write.")] = FileFormat.JSON,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE|-", help="A file, a folder, or - for standard output."),
    ] = ".",
    compression: Annotated[Compression | None, typer.Option(help="Compress the file.")] = None,
    privacy_level: Annotated[
        list[str] | None, typer.Option(help="Only cards of this level; may be repeated.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Only cards of this category; may be repeated.")
    ] = None,
    published_only: Annotated[bool, typer.Option("--published-only", help="Only published cards.")] = False,
    ids_from: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Only the cards whose ids are in this file.")
    ] = None,
    metadata: Annotated[bool, typer.Option(help="Include metadata.")] = True,
    since: Annotated[
        str | None, typer.Option(help="The watermark of an earlier export: only what changed since.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the file and download it.")] = True,
    as_json: AsJson = False,
) -> None:
    """Export cards to a file, or to standard output (-o -).

    The file appears whole or not at all, its checksum checked. Without -o it gets the server's name, here.
    """
    if output == "-" and as_json:
        raise UsageProblem("--json and -o - both want standard output.")
    if output == "-" and wait:
        refuse_terminal(file_format, compression)
    with connected() as client:
        operation = client.export(
            format=file_format.value,
            compression=None if compression is None else compression.value,
            card_ids=None if ids_from is None else read_ids([], ids_from),
            privacy_levels=privacy_level or None,
            categories=category or None,
            published_only=published_only or None,
            include_metadata=None if metadata else False,
            since=since,
        )
        if not wait:
            following.started(operation, as_json=as_json)
            return
        final = following.follow(client, operation.id, "export")
        fetched = _fetched(client, final, output) if final.is_success else {}
    if output == "-":
        if not final.is_success:
            render.say(f"error: the export failed: {final.error}", style="red")
            raise typer.Exit(1)
        return
    if as_json:
        render.document(final.raw | fetched)
        raise typer.Exit(0 if final.is_success else 1)
    following.ended(final, as_json=False)
    render.facts(fetched)


def _fetched(client: Client, final: Status, output: str) -> dict[str, Any]:
    """Download to where it should go; ``{"file": path}``."""
    sha256 = (final.result or {}).get("sha256")
    if output == "-":
        with tempfile.TemporaryDirectory(prefix="extrophi-") as folder:  # nothing unchecked goes down a pipe
            path = Path(folder, "export")
            client.download(final.id, path, sha256=sha256)
            render.file(path)
        return {}
    target = Path(output)
    with following.bytes_bar("download") as moved:
        got = client.download(final.id, target, sha256=sha256, on_progress=moved)
    return {"file": str(target / (got.file_name or "")) if target.is_dir() else str(target)}
