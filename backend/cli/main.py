"""The ``extrophi`` program. Each command's module is imported only when that command runs."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from backend.cli import failures

# Command -> (module with ``register(app)``, its line in the help, which a test holds against the command's).
COMMANDS: dict[str, tuple[str, str]] = {
    "up": (
        "stack",
        "Run the whole stack in the foreground: API, workers, beat, PostgreSQL, Redis. Ctrl-C stops it.",
    ),
    "demo": ("stack", "Start the whole stack, import sample cards, export them, check every figure, stop."),
    "migrate": ("stack", "Bring the database (DATABASE_URL, else the running stack's) to the newest schema."),
    "doctor": ("stack", "Say what is wrong with this installation, and how to mend it."),
    "import": ("importing", "Import cards from a file, or from standard input (-)."),
    "export": ("exporting", "Export cards to a file, or to standard output (-o -)."),
    "delete": ("removal", "Delete cards: softly, so that they can be restored, or for good (--hard)."),
    "restore": ("removal", "Bring softly deleted cards back."),
    "status": ("operations", "Where an operation is; --watch follows it to its end."),
    "operations": ("operations", "List the operations, newest first."),
    "cancel": ("operations", "Stop an operation after the parts in flight."),
    "retry": ("operations", "Start a new operation of the failed cards only."),
    "undo": ("operations", "Delete what an import made, or restore what a delete removed."),
    "errors": (
        "reports",
        "Every failed card of an operation, with the reason; as a file to mend and import again.",
    ),
    "results": ("reports", "What became of every card of an operation."),
    "tokens": ("tokens", "The $EXTROPY balance and ledger, and whether the books add up."),
    "keys": ("keys", "Make, list and revoke API keys (in the database itself)."),
    "presets": ("importing", "The products whose files can be imported with --preset."),
}

HELP = """Bulk import, export and delete of Extrophi cards.

The server is EXTROPHI_URL with the key in EXTROPHI_API_KEY; when unset, the stack that runs here
(extrophi up).

Exit codes: 0 done; 1 the operation failed or a check found something; 2 the command or its input is wrong;
3 the server cannot be reached or refuses the key."""


class LazyGroup(TyperGroup):
    """Knows every command's name and line; the rest is imported when it runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=line)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The real command behind a name."""
    module = importlib.import_module(f"backend.cli.{COMMANDS[name][0]}")
    own = typer.Typer()
    own.callback()(lambda: None)  # without it, a single command would not be a group's
    module.register(own)
    group: Any = typer.main.get_command(own)
    return group.commands[name]


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"extrophi {version('extrophi-bulk')}")
        raise typer.Exit


@app.callback(help=HELP)
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the program and exit."""
    failures.forget()
    try:
        app(prog_name="extrophi")
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has seen enough
        sys.exit(0)
    except failures.expected() as error:
        sys.exit(failures.report(error))


if __name__ == "__main__":
    main()
