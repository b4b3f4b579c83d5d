"""``extrophi import`` and ``extrophi presets``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from backend.cli import following, render
from backend.cli.connection import connected
from backend.cli.failures import FAILED, AsJson, UsageProblem
from backend.cli.formats import Compression, FileFormat

if TYPE_CHECKING:
    from backend.client.models import FileOptions
    from backend.client.sync import Client


class OnDuplicate(StrEnum):
    CREATE = "create"
    SKIP = "skip"
    UPDATE = "update"
    FAIL = "fail"


class ErrorPolicy(StrEnum):
    REJECT_FAILED_ROWS = "reject_failed_rows"
    REJECT_EVERYTHING = "reject_everything"


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    app.command("import")(import_)
    app.command("presets")(presets)


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A file; - reads standard input.")],
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="What it is, when its name does not say.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The product it comes from; extrophi presets lists them.")
    ] = None,
    on_duplicate: Annotated[
        OnDuplicate | None, typer.Option(help="For cards whose external_id is known. [default: create]")
    ] = None,
    error_policy: Annotated[
        ErrorPolicy | None, typer.Option(help="When cards are bad. [default: reject_failed_rows]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")
    ] = False,
    publish_business: Annotated[
        bool | None, typer.Option(help="Publish BUSINESS cards. [default: yes]", show_default=False)
    ] = None,
    publish_ideas: Annotated[
        bool | None, typer.Option(help="Publish IDEAS cards. [default: yes]", show_default=False)
    ] = None,
    default_category: Annotated[str | None, typer.Option(help="For cards that have none.")] = None,
    default_privacy_level: Annotated[str | None, typer.Option(help="For cards that have none.")] = None,
    compress: Annotated[Compression | None, typer.Option(help="Compress while sending.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the first cards it would become; import nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the end.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when any card failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import cards from a file, or from standard input (-).

    JSON, NDJSON, CSV, Markdown with front matter, a zip of Markdown files; each also as .gz or .zst.
    Files that extrophi export and extrophi errors wrote can be imported as they are.
    """
    from backend.client.errors import NotAFormat
    from backend.client.kinds import MEDIA_TYPES

    found = {
        "media_type": MEDIA_TYPES[file_format.value] if file_format else None,
        "preset": preset,
        "on_duplicate": on_duplicate and on_duplicate.value,
        "error_policy": error_policy and error_policy.value,
        "dry_run": dry_run or None,
        "publish_business": publish_business,
        "publish_ideas": publish_ideas,
        "default_category": default_category,
        "default_privacy_level": default_privacy_level,
        "compress": compress and compress.value,
    }
    options = cast("FileOptions", {name: value for name, value in found.items() if value is not None})
    source: Path | IO[bytes] = sys.stdin.buffer if file == "-" else Path(file)
    try:
        with connected() as client:
            if preview:
                _preview(client, source, options, as_json=as_json)
                return
            with following.bytes_bar("sending") as moved:
                operation = client.import_file(source, on_progress=moved, **options)
            if not wait:
                following.started(operation, as_json=as_json)
                return
            final = following.follow(client, operation.id, "dry run" if dry_run else "import")
    except NotAFormat as error:
        raise UsageProblem(f"{error} (--format)") from error
    following.ended(final, as_json=as_json)
    if strict and (final.result or {}).get("cards_failed"):
        raise typer.Exit(FAILED)


def _preview(client: Client, source: Path | IO[bytes], options: FileOptions, *, as_json: bool) -> None:
    rows = client.preview(source, **options)
    if as_json:
        render.document({"rows": rows})
        return
    shown = []
    for row in rows:
        card = row.get("card") or {}
        tags = ", ".join(map(str, card.get("tags") or []))
        what = f"{row.get('code')}: {row.get('message')}" if row.get("code") else card.get("body")
        shown.append([row.get("index"), card.get("title"), card.get("category"), tags, what])
    render.table(("index", "title", "category", "tags", "body"), shown)


def presets(as_json: AsJson = False) -> None:
    """The products whose files can be imported with --preset."""
    with connected() as client:
        found = client.presets()
    if as_json:
        render.document({"presets": found})
        return
    rows = [[one.get("name"), one.get("title"), one.get("description")] for one in found]
    render.table(("preset", "file", "what becomes of it"), rows)
