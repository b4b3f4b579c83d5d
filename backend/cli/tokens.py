"""``extrophi tokens balance|ledger|verify``."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from backend.cli import render
from backend.cli.connection import connected
from backend.cli.failures import FAILED, AsJson


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    tokens = typer.Typer(
        no_args_is_help=True, help="The $EXTROPY balance and ledger, and whether the books add up."
    )
    tokens.command()(balance)
    tokens.command()(ledger)
    tokens.command()(verify)
    app.add_typer(tokens, name="tokens")


def balance(as_json: AsJson = False) -> None:
    """The $EXTROPY balance of the key's owner."""
    with connected() as client:
        found = client.balance()
    if as_json:
        render.document(found.raw)
    else:
        render.out().print(f"{found.balance} $EXTROPY", markup=False)


def ledger(
    limit: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 50, as_json: AsJson = False
) -> None:
    """The ledger of the key's owner, newest first."""
    with connected() as client:
        found = islice(client.ledger(page_size=min(limit, 1000)), limit)
        if as_json:
            render.streamed_document("entries", (one.raw for one in found))
            return
        rows = [[one.created_at, one.amount, one.reason, one.card_id, one.operation_id] for one in found]
    render.table(("when", "amount", "reason", "card", "operation"), rows)


def verify(as_json: AsJson = False) -> None:
    """Check the books of every owner, in the database itself: DATABASE_URL, else the running stack's.

    Every card that was ever published has one award, and every balance is the sum of its ledger rows.
    Exits with 1 when anything is off.
    """
    from backend.cli.database import database
    from backend.ledger.invariants import violations

    with database():
        found = violations()
    if as_json:
        render.document({"ok": not found, "violations": [one.as_json() for one in found]})
    elif found:
        rows = [[one.check, one.user_id, one.card_id, one.detail] for one in found]
        render.table(("check", "user", "card", "what is off"), rows)
    else:
        render.out().print("The books add up.")
    if found:
        raise typer.Exit(FAILED)
