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

import httpx2
import orjson
import psycopg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from backend.auth import store
from backend.cli.sample import published_among, sample_cards
from backend.core.errors import ExtrophiError
from backend.db import session
from backend.embedded.running import RunningStack
from backend.embedded.supervisor import Options, Supervisor
from backend.ledger import invariants

CARDS_PER_REQUEST = 10_000
POLL_SECONDS = 0.05
FINAL = {"SUCCESS", "FAILURE"}


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
    with httpx2.Client(
        base_url=state.url, headers={"Authorization": f"Bearer {key}"}, timeout=120, trust_env=False
    ) as api:
        began = time.monotonic()
        results = _import(api, cards, console)
        import_seconds = time.monotonic() - began
        began = time.monotonic()
        export = _finished(
            api, _posted(api, "/bulk/export", orjson.dumps({"format": "json"})), console, "export"
        )
        export_seconds = time.monotonic() - began
        download = api.get(export["download_url"]).raise_for_status().content
        balance = api.get("/tokens/balance").raise_for_status().json()
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
        Figure("cards imported", sum(result["cards_imported"] for result in results), cards),
        Figure("cards failed", sum(result["cards_failed"] for result in results), 0),
        Figure("cards published", sum(result["cards_published"] for result in results), published),
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
        Figure("$EXTROPY balance", str(balance["balance"]), tokens),
        Figure("violations of the books", len(books), 0),
    ]


def _import(api: httpx2.Client, cards: int, console: Console) -> list[dict[str, Any]]:
    """Post the cards, as many to a request as it takes, and follow each import to its end."""
    results = []
    everything = list(sample_cards(cards))
    for first in range(0, cards, CARDS_PER_REQUEST):
        body = orjson.dumps({"cards": everything[first : first + CARDS_PER_REQUEST]})
        results.append(_finished(api, _posted(api, "/bulk/import", body), console, "import"))
    return results


def _posted(api: httpx2.Client, path: str, body: bytes) -> str:
    answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
    answer.raise_for_status()
    url: str = answer.json()["check_status_url"]
    return url


def _finished(api: httpx2.Client, status_url: str, console: Console, what: str) -> dict[str, Any]:
    """The result of an operation; a bar moves until it is there.

    Raises:
        RuntimeError: when the operation ends in FAILURE.
    """
    columns = (TextColumn(f"{what:<7}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(what, total=None)
        while True:
            status = api.get(status_url).raise_for_status().json()
            current = status.get("progress")
            if current:
                progress.update(bar, completed=current["current"], total=current["total"])
            if status["status"] in FINAL:
                break
            time.sleep(POLL_SECONDS)
        if status["status"] != "SUCCESS":
            raise RuntimeError(f"the {what} ended in FAILURE: {status.get('error')}")
        result: dict[str, Any] = status["result"]
        count = result.get("cards_imported", result.get("cards_exported", 0))
        progress.update(bar, completed=count, total=max(count, 1))
    return result


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
