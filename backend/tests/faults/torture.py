"""Imports, exports, deletes and restores while everything is killed: nothing lost, nothing doubled.

``make torture``, or ``TORTURE_IMPORTS=200 TORTURE_KILLS=500 TORTURE_SEED=1 make torture``. It goes on until
both numbers are reached and ``TORTURE_MINUTES`` are over, mends everything, waits until all that was accepted
is final, and checks the books. The seed decides the faults and the operations; it is printed, and given again
replays them.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import orjson

from backend.tests.faults.chaos import SETTINGS, Chaos
from backend.tests.faults.load import Client, Refused, Sent
from backend.tests.faults.world import World

OWNERS = 4
IN_FLIGHT = 3  # operations of one owner at a time
DELETED_AT_ONCE = 200
FINAL_WITHIN_SECONDS = 180


@dataclass
class Report:
    """What happened, and what was found."""

    seed: int
    imports: int = 0
    cards: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    final_seconds: float = 0.0  # from the last fault until all was final
    requests_sent_again: int = 0
    failures: list[str] = field(default_factory=list)  # operations that ended in FAILURE, with their reason
    wrong: list[str] = field(default_factory=list)  # lost, doubled, not adding up

    def as_json(self) -> str:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


class Driver(threading.Thread):
    """One owner: imports until told to stop, and exports, deletes and restores of what it has imported."""

    def __init__(self, client: Client, seed: int, cards: int, more: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self.client = client
        self._random = Random(seed)
        self._cards = cards
        self._more = more  # asked before each import
        self._deleted: dict[str, int] = {}
        self._deletes: list[tuple[Sent, Sent, int]] = []  # the delete, the import it hit, from which index
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while self._more():
                self.client.import_cards(self._cards, bad=self._random.choice((0, 0, 1, 7)))
                self._something_else()
                self._wait_for_room()
        except BaseException as error:  # shown by the main thread
            self.error = error

    def _something_else(self) -> None:
        client, draw = self.client, self._random.random()
        over = [one for one in client.accepted if one.kind == "import" and one.ended_at is not None]
        if draw < 0.15:
            client.export(self._random.choice(("json", "csv", "markdown")))
        elif draw < 0.45 and over:
            made = self._random.choice(over)
            first = self._deleted.get(made.task_id, 0)
            if first + DELETED_AT_ONCE <= made.good:
                self._deleted[made.task_id] = first + DELETED_AT_ONCE
                soft = self._random.random() < 0.8
                deleted = client.delete(made, first, DELETED_AT_ONCE, soft=soft)
                if soft:
                    self._deletes.append((deleted, made, first))
        elif draw < 0.6 and self._deletes and self._deletes[0][0].ended_at is not None:
            _, made, first = self._deletes.pop(0)
            client.restore(made, first, DELETED_AT_ONCE)

    def _wait_for_room(self) -> None:
        end = time.monotonic() + 300
        while time.monotonic() < end:
            waiting = [one for one in self.client.accepted if one.ended_at is None]
            if len(waiting) < IN_FLIGHT:
                return
            for one in waiting:
                self.client.status(one)
            time.sleep(0.1)
        raise AssertionError(f"nothing ended within 300 s: {waiting}")


def run(
    folder: Path,
    *,
    imports: int,
    kills: int,
    seed: int,
    cards: int,
    pace_seconds: float = 1.0,
    at_least_seconds: float = 0.0,
    say: Callable[[str], None] = print,
) -> Report:
    """The whole torture. The caller decides what to make of ``Report.wrong`` and ``failures``."""
    report = Report(seed)
    began = time.monotonic()
    with World(folder, workers=2, settings=SETTINGS) as world:
        chaos = Chaos(world, seed, pace_seconds)
        clients = [Client(world.url, world.key_of(f"owner{number}")) for number in range(OWNERS)]

        def sent() -> int:
            return sum(one.kind == "import" for client in clients for one in list(client.accepted))

        def more() -> bool:
            lasted = time.monotonic() - began
            return sent() < imports or chaos.kills < kills or lasted < at_least_seconds

        drivers = [Driver(client, seed * OWNERS + n, cards, more) for n, client in enumerate(clients)]
        for driver in drivers:
            driver.start()
        shown = time.monotonic()
        while any(driver.is_alive() for driver in drivers):
            chaos.step()
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                say(f"{shown - began:6.0f} s  {sent()} imports, {chaos.kills} kills")
        chaos.end()
        mended = time.monotonic()
        report.wrong += [f"driver: {driver.error!r}" for driver in drivers if driver.error is not None]
        for client in clients:
            try:
                client.wait_all(FINAL_WITHIN_SECONDS)
            except (AssertionError, Refused) as error:
                report.wrong.append(str(error)[:1000])
        report.final_seconds = round(time.monotonic() - mended, 1)
        report.seconds = round(time.monotonic() - began, 1)
        report.kills, report.faults = chaos.kills, dict(chaos.happened)
        report.requests_sent_again = sum(client.retried for client in clients)
        _check(world, clients, report)
        for client in clients:
            client.close()
    return report


def _check(world: World, clients: list[Client], report: Report) -> None:
    accepted = [one for client in clients for one in client.accepted]
    report.imports = sum(one.kind == "import" for one in accepted)
    report.operations = dict(Counter(one.kind for one in accepted))
    report.cards = sum(one.items for one in accepted if one.kind == "import")
    wrong = report.wrong
    wrong += world.violations()
    (count,) = world.query("SELECT count(*) FROM operations")[0]
    if count != len(accepted):
        wrong.append(f"{count} operations in the database, {len(accepted)} accepted")
    made = dict(
        world.query(
            "SELECT left(id::text, 30), count(*) FROM "
            "(SELECT id FROM cards UNION ALL SELECT card_id FROM card_tombstones) all_cards GROUP BY 1"
        )
    )
    for client in clients:
        for one in client.accepted:
            result = one.answer.get("result", {})
            if one.answer.get("status") == "FAILURE":
                report.failures.append(f"{one.kind} {one.task_id}: {one.answer.get('error')}")
                done, failed = result.get("cards_imported", 0), result.get("cards_failed", 0)
                there = made.get(one.task_id[:30], 0)
                if one.kind == "import" and (done + failed != one.items or there != done):
                    wrong.append(f"{one}: {done} and {failed} of {one.items}, {there} cards")
            elif one.kind == "import":
                got = (
                    result.get("cards_imported"),
                    result.get("cards_failed"),
                    result.get("cards_published"),
                )
                wanted = (one.good, one.items - one.good, one.published)
                if got != wanted or made.get(one.task_id[:30], 0) != one.good:
                    wrong.append(f"{one}: {got} instead of {wanted}, {made.get(one.task_id[:30])} cards")
            elif one.kind == "export" and one.answer.get("result", {}).get("export_format") == "json":
                try:
                    client.check_download(one)
                except AssertionError as error:
                    wrong.append(f"{one}: {error}")
            elif one.kind in ("delete", "restore") and result.get(f"cards_{one.kind}d") != one.items:
                wrong.append(f"{one}: {result}")


def main() -> int:
    """Numbers from the environment; 0 when nothing is wrong."""
    seed = int(os.environ.get("TORTURE_SEED") or secrets.randbelow(1_000_000))
    imports = int(os.environ.get("TORTURE_IMPORTS", "20"))
    kills = int(os.environ.get("TORTURE_KILLS", "50"))
    cards = int(os.environ.get("TORTURE_CARDS", "10000"))
    minutes = float(os.environ.get("TORTURE_MINUTES", "0"))
    print(f"seed {seed}: {imports} imports of {cards} cards, {kills} kills, {minutes:g} minutes", flush=True)
    for signum in (signal.SIGTERM, signal.SIGINT):  # so that the stack ends with it, however it was started
        signal.signal(signum, lambda *_: sys.exit(2))

    def say(line: str) -> None:
        print(line, flush=True)

    pace = float(os.environ.get("TORTURE_PACE_SECONDS", "1.0"))
    with tempfile.TemporaryDirectory(prefix="extrophi-torture-") as folder:
        report = run(
            Path(folder), imports=imports, kills=kills, seed=seed, cards=cards, pace_seconds=pace,
            at_least_seconds=minutes * 60, say=say,
        )  # fmt: skip
    print(report.as_json())
    print(f"{'WRONG' if report.wrong else 'nothing lost, nothing doubled'}; seed {seed}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
