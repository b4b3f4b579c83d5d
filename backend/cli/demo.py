"""``extrophi demo``: the whole stack, sample cards in and out, every figure checked against the database."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.auth import store
from backend.cli import following
from backend.cli.sample import published_among, sample_cards
from backend.client.models import Operation
from backend.client.sync import Client
from backend.core.errors import ExtrophiError
from backend.db import session
from backend.embedded.running import RunningStack
from backend.embedded.supervisor import Options, Supervisor
from backend.ledger import invariants

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Figure:
    """One thing the demo shows. ``expected`` is None for what is only measured."""

    name: str
    value: object
    expected: object = None

    @property
    def is_off(self) -> bool:
        return self.expected is not None and self.value != self.expected


def run_demo(cards: int, data_dir: Path | None, console: Console) -> bool:
    """Run it all; whether every figure is as expected. The stack is stopped in any case."""
    folder = data_dir or Path(tempfile.mkdtemp(prefix="extrophi-demo-"))
    supervisor = Supervisor(
        Options(port=0, data_dir=folder), lambda line: console.print(f"[dim]{escape(line)}[/]")
    )
    figures: list[Figure] = []
    failure: list[BaseException] = []
    try:
        began = time.monotonic()
        with console.status("starting PostgreSQL, Redis, workers and the API"):
            state = supervisor.start()
        console.print(f"The stack is up after {time.monotonic() - began:.1f} s: {state.url}")

        def work() -> None:
            try:
                figures.extend(_figures(state, cards, console))
            except BaseException as error:  # shown below, by the thread that started this one
                failure.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if not supervisor.run(finished=lambda: not thread.is_alive()):
            console.print("interrupted")
            return False
    except KeyboardInterrupt:
        console.print("interrupted")
        return False
    except ExtrophiError as error:
        failure.append(error)
    finally:
        session.dispose()
        supervisor.stop()
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    if failure:
        console.print(f"[red]The demo failed:[/] {escape(str(failure[0]))}", soft_wrap=True)
        return False
    return _show(figures, console)


def _figures(state: RunningStack, cards: int, console: Console) -> list[Figure]:
    """Import, export, and hold what the API says against what the database holds."""
    owner = store.create_user(f"demo-{uuid.uuid4().hex[:8]}")
    key = store.create_key(owner, "demo").key
    published = published_among(cards)
    tokens = f"{published}.00000000"
    with (
        Client(state.url, key, timeout=120) as api,
        tempfile.TemporaryDirectory(prefix="extrophi-") as folder,
    ):
        began = time.monotonic()
        imported = _result(api, api.import_cards(sample_cards(cards)), "import", console)
        import_seconds = time.monotonic() - began
        began = time.monotonic()
        operation = api.export(format="json")
        export = _result(api, operation, "export", console)
        export_seconds = time.monotonic() - began
        path = Path(folder, "cards.json")
        api.download(operation.id, path)
        download = path.read_bytes()
        balance = api.balance().balance
    exported = orjson.loads(download)
    books = invariants.violations()
    with psycopg.connect(state.database_url) as connection:
        row = connection.execute(
            """SELECT (SELECT count(*) FROM cards WHERE user_id = u.id),
                      (SELECT count(*) FROM cards WHERE user_id = u.id AND is_published),
                      (SELECT count(*) FROM extropy_ledger WHERE user_id = u.id),
                      (SELECT coalesce(sum(amount), 0) FROM extropy_ledger WHERE user_id = u.id)::text,
                      u.extropy_balance::text
               FROM users u WHERE u.id = %s""",
            (owner,),
        ).fetchone()
    stored, stored_published, awards, ledger, stored_balance = row or (None,) * 5
    return [
        Figure("cards imported", imported["cards_imported"], cards),
        Figure("cards failed", imported["cards_failed"], 0),
        Figure("cards published", imported["cards_published"], published),
        Figure("import, cards/s", f"{cards / import_seconds:,.0f}"),
        Figure("import, seconds", f"{import_seconds:.2f}"),
        Figure("cards in the database", stored, cards),
        Figure("published in the database", stored_published, published),
        Figure("cards exported", export["cards_exported"], cards),
        Figure("cards in the downloaded file", len(exported), cards),
        Figure("different cards in it", len({card["id"] for card in exported}), cards),
        Figure("bytes of the file", len(download), export["file_size_bytes"]),
        Figure("SHA-256 of the file", hashlib.sha256(download).hexdigest(), export["sha256"]),
        Figure("export, cards/s", f"{cards / export_seconds:,.0f}"),
        Figure("awards in the ledger", awards, published),
        Figure("sum of the ledger", ledger, tokens),
        Figure("balance in the database", stored_balance, tokens),
        Figure("$EXTROPY balance", balance, tokens),
        Figure("violations of the books", len(books), 0),
    ]


def _result(api: Client, operation: Operation, what: str, console: Console) -> dict[str, Any]:
    """The result of an operation; a bar moves until it is there.

    Raises:
        RuntimeError: when the operation ends in FAILURE.
    """
    final = following.follow(api, operation.id, f"{what:<7}", console=console, interval=POLL_SECONDS)
    if not final.is_success or final.result is None:
        raise RuntimeError(f"the {what} ended in FAILURE: {final.error}")
    return final.result


def _show(figures: list[Figure], console: Console) -> bool:
    table = Table("figure", "value", "")
    for figure in figures:
        mark = ""
        if figure.expected is not None:
            mark = f"[red]expected {figure.expected}[/]" if figure.is_off else "[green]as expected[/]"
        table.add_row(figure.name, str(figure.value), mark)
    console.print(table)
    off = [figure.name for figure in figures if figure.is_off]
    if off:
        console.print(f"[red]These figures are off:[/] {', '.join(off)}")
        return False
    console.print("Every figure is as expected.")
    return True
