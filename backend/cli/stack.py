"""``extrophi up``, ``demo``, ``migrate`` and ``doctor``."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.cli import render
from backend.core.errors import ExtrophiError
from backend.core.settings import get_settings
from backend.db import migrate as migrations

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    app.command()(up)
    app.command()(demo)
    app.command()(migrate)
    app.command()(doctor)


def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0, or a taken one: a free port.")] = 8000,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept; DATA_DIR, else .data.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Celery parents.")] = 1,
    ready_file: Annotated[Path | None, typer.Option(help="Gets one JSON object once all is healthy.")] = None,
) -> None:
    """Run the whole stack in the foreground: API, workers, beat, PostgreSQL, Redis. Ctrl-C stops it."""
    from backend.embedded.supervisor import Options, Supervisor

    options = Options(host, port, data_dir or get_settings().data_dir, workers, ready_file)
    supervisor = Supervisor(options, _say)
    status = 0
    try:
        _say("starting PostgreSQL, Redis, workers and the API")
        state = supervisor.start()
        console.print(f"\n  API            [bold]{state.url}[/]", soft_wrap=True)
        if supervisor.key_is_new:
            console.print(
                f"  API key        [bold]{state.api_key}[/]   (user demo; shown this once)", soft_wrap=True
            )
        else:
            console.print(
                "  API key        the one shown at the first start; extrophi keys create makes more"
            )
        console.print(f"  documentation  {state.url}/docs", soft_wrap=True)
        console.print(f"  metrics        {state.url}/metrics", soft_wrap=True)
        console.print(f"  data           {_shown(state.data_dir)}", soft_wrap=True)
        console.print("\n  Ctrl-C stops everything.\n")
        supervisor.run()
    except KeyboardInterrupt:
        pass
    except ExtrophiError as error:
        errors.print(f"[red]error:[/] {_shown(error.detail)}", soft_wrap=True)
        status = 1
    finally:
        _say("stopping")
        supervisor.stop()
    if status:
        raise typer.Exit(status)


def demo(
    cards: Annotated[int, typer.Option(min=10, max=1_000_000, help="How many sample cards.")] = 10_000,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the data here; else a folder that is removed again.")
    ] = None,
) -> None:
    """Start the whole stack, import sample cards, export them, check every figure, stop."""
    from backend.cli.demo import run_demo

    if not run_demo(cards, data_dir, console):
        raise typer.Exit(1)


def migrate() -> None:
    """Bring the database (DATABASE_URL, else the running stack's) to the newest schema."""
    from backend.embedded.running import adopt_running_stack

    try:
        adopt_running_stack()
        migrations.upgrade()
    except ExtrophiError as error:
        errors.print(f"[red]error:[/] {_shown(error.detail)}", soft_wrap=True)
        raise typer.Exit(1) from error
    console.print("The database has the newest schema.")


def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="List every setting.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say what is wrong with this installation, and how to mend it."""
    from backend.cli import doctor as checks

    if settings:
        rows = checks.settings_table()
        if as_json:
            typer.echo(json.dumps(rows, indent=2))
            return
        table = Table("setting", "default", "description", title="Environment variables")
        for row in rows:
            table.add_row(row["name"], escape(row["default"]), escape(row["description"]))
        console.print(table)
        return
    found = checks.findings()
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in found], indent=2))
    else:
        marks = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "wrong": "[red]wrong[/]"}
        for finding in found:
            console.print(
                f"{marks[finding.state]:>16}  {finding.check}: {_shown(finding.detail)}", soft_wrap=True
            )
            if finding.mend:
                console.print(f"{'':9}to mend: {_shown(finding.mend)}", soft_wrap=True)
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)


def _say(line: str) -> None:
    with suppress(OSError, SystemExit):  # the terminal or pipe is gone; the stack is not
        console.print(f"[dim]extrophi[/] {_shown(line)}", soft_wrap=True)


def _shown(text: str) -> str:
    """Text of logs, paths and errors, line by line, harmless on a terminal and as markup."""
    return "\n".join(escape(render.clean(line, 2_000)) for line in text.splitlines())
