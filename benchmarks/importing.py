"""Import: the part's transaction, POST to SUCCESS and a file, each against a raw COPY of the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from backend.core.ids import new_operation_id
from benchmarks import cpu, servers
from benchmarks.calling import Caller
from benchmarks.engine import Engine
from benchmarks.figures import Measurement, Result, WrongCount
from benchmarks.measure import Side, alternate
from benchmarks.options import Options
from benchmarks.rows import Cards, raw_copy
from benchmarks.servers import Database, RunningStack
from benchmarks.watching import StatusCalls, memory_figures, status_figures, watched

PART_SIZES = (500, 1_000, 2_000)
PART_GOALS = (0.60, 0.80)
# Runners side by side: goal and stretch, where there are any.
POST_GOALS = {1: (0.45, 0.60), 2: (None, None), 4: (0.60, 1.0)}
FILE_GOALS = (0.80, 1.3)
UNLOOKED = "without look-ups"
LOOK_UPS = "COPY looks the owner of each row up, as the foreign key says; ours once per part"
STATUS_GOALS = (20.0, 5.0)  # milliseconds, p99


def run(options: Options) -> Iterator[Result]:
    """Every measurement of imports, memory and status calls under that load included."""
    with servers.database() as database:
        yield from in_process(database, options)
    for runners in POST_GOALS:
        shares = {"RUNNERS_PER_OPERATION": str(runners), "RUNNING_PARTS_PER_OWNER": str(runners)}
        with servers.stack(children=runners, **shares) as stack:
            yield from posted(stack, runners, options)
            if runners == max(POST_GOALS):
                yield from from_file(stack, runners, options)


def in_process(database: Database, options: Options) -> Iterator[Measurement]:
    """The part's transaction at each size."""
    cards = Cards(options.cards, options.seed)
    for size in PART_SIZES:
        yield from part_transactions(database, cards, size, options)


def part_transactions(database: Database, cards: Cards, size: int, options: Options) -> Iterator[Measurement]:
    """One process runs the parts of a staged import, one after another."""
    owner = database.new_owner()
    engine = Engine(owner)

    def staged() -> UUID:
        database.empty()
        operation = engine.stage_import(cards.raws, size)
        database.settle()
        return operation

    seconds = alternate(
        {
            "ours": Side(
                lambda operation: engine.run(operation),
                lambda *_: imported(database, owner, cards),
                len(cards),
                staged,
            ),
            "COPY per part": copy_side(database, owner, cards, size),
            "COPY": copy_side(database, owner, cards, len(cards)),
        },
        options.rounds,
    )
    yield Measurement(
        "import",
        f"parts of {size:,}",
        len(cards),
        seconds["ours"],
        seconds["COPY per part"],
        against=f"COPY of {size:,} per transaction",
        goal=PART_GOALS[0],
        stretch=PART_GOALS[1],
        note="one process; claim, attempt, cards, awards, balance, progress, commit, and the operation's end",
    )
    yield Measurement(
        "import",
        f"parts of {size:,}, beside one COPY",
        len(cards),
        seconds["ours"],
        seconds["COPY"],
        note="the same rounds against one COPY of all rows in one transaction",
        plot=False,
    )


def posted(stack: RunningStack, runners: int, options: Options) -> Iterator[Result]:
    """From the first byte of the POST to the answer that says SUCCESS; and the processor time of both."""
    cards = Cards(options.cards, options.seed)
    owner, key = stack.new_user()
    body = cards.body()
    spent: dict[str, list[cpu.Spent]] = {"import": [], "raw COPY": []}
    with Caller(stack.base_url, key) as caller:

        def there_and_back(_: Any) -> dict[str, Any]:
            return caller.finished(caller.post("/bulk/import", body)["task_id"])

        ours = Side(there_and_back, _imported_over_http(stack, owner, cards), len(cards), stack.empty)
        limit = copy_side(stack, owner, cards, len(cards))
        sides = {
            "ours": cpu.counted(ours, stack, spent["import"]),
            "COPY": cpu.counted(limit, stack, spent["raw COPY"]),
            UNLOOKED: copy_side(stack, owner, cards, len(cards), look_ups=False),
        }
        seconds = alternate(sides, options.rounds)
    name = f"POST to SUCCESS, {_runners(runners)}"
    yield Measurement(
        "import",
        name,
        len(cards),
        seconds["ours"],
        seconds["COPY"],
        goal=POST_GOALS[runners][0],
        stretch=POST_GOALS[runners][1],
        note=LOOK_UPS,
    )
    yield _beside_unlooked(name, len(cards), seconds)
    if runners == max(POST_GOALS):
        yield from cpu.figures("import", spent["import"], len(cards))
        yield from cpu.figures("raw COPY", spent["raw COPY"], len(cards), ["postgres"])


def from_file(stack: RunningStack, runners: int, options: Options) -> Iterator[Result]:
    """An NDJSON file, streamed; then some more, with status calls and memory watched."""
    cards = Cards(options.many, options.seed)
    owner, key = stack.new_user()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, Caller(stack.base_url, key) as caller:
        file = cards.write_ndjson(Path(name) / "cards.ndjson")

        def send() -> str:
            return str(caller.post_file("/bulk/import", file, "application/x-ndjson")["task_id"])

        ours = Side(
            lambda _: caller.finished(send()),
            _imported_over_http(stack, owner, cards),
            len(cards),
            stack.empty,
        )
        sides = {
            "ours": ours,
            "COPY": copy_side(stack, owner, cards, len(cards)),
            UNLOOKED: copy_side(stack, owner, cards, len(cards), look_ups=False),
        }
        seconds = alternate(sides, options.few_rounds, warm_up=False)
        name = f"NDJSON file to SUCCESS, {_runners(runners)}"
        yield Measurement(
            "import",
            name,
            len(cards),
            seconds["ours"],
            seconds["COPY"],
            goal=FILE_GOALS[0],
            stretch=FILE_GOALS[1],
            note=LOOK_UPS,
        )
        yield _beside_unlooked(name, len(cards), seconds)
        milliseconds: list[float] = []
        with watched(stack) as memory:
            for _ in range(options.few_rounds):  # the slowest hundredth of one import are two calls
                stack.empty()
                task = send()
                with StatusCalls(stack.base_url, key, task, milliseconds):
                    status = caller.finished(task)
                ours.check(None, status)
        yield from status_figures(milliseconds, "status", "status call during an import", STATUS_GOALS)
        yield from memory_figures(memory, f"import of {len(cards):,}")


def _beside_unlooked(name: str, cards: int, seconds: Mapping[str, tuple[float, ...]]) -> Measurement:
    """For information: against a COPY that nobody may use like this, since it checks no owner."""
    return Measurement(
        "import",
        f"{name}, beside COPY {UNLOOKED}",
        cards,
        seconds["ours"],
        seconds[UNLOOKED],
        note="the same rounds against a COPY without the foreign key's look-ups: its cards could be nobody's",
        plot=False,
    )


def copy_side(
    database: Database, owner: UUID, cards: Cards, per_transaction: int, *, look_ups: bool = True
) -> Side:
    """The limit: ready rows, a warm connection, so many rows per transaction.

    Args:
        look_ups: whether PostgreSQL looks the owner of each row up, as the table's foreign key says.
    """
    lines = cards.copy_lines(owner, new_operation_id(), datetime.now(UTC))

    def connected() -> Any:
        database.empty()
        connection = database.connect()
        connection.execute(f"SET session_replication_role = {'origin' if look_ups else 'replica'}")
        connection.commit()
        return connection

    def check(connection: Any, _: Any) -> int:
        connection.close()
        return database.count_cards(owner)

    return Side(lambda connection: raw_copy(connection, lines, per_transaction), check, len(cards), connected)


def imported(database: Database, owner: UUID, cards: Cards) -> int:
    """How many cards an import left.

    Raises:
        WrongCount: awards or the balance are not those of the published ones.
    """
    awards = database.value("SELECT count(*) FROM extropy_ledger WHERE user_id = %s", owner)
    balance = database.value("SELECT extropy_balance FROM users WHERE id = %s", owner)
    if not awards == balance == cards.published:
        raise WrongCount(f"{awards} awards, balance {balance}, {cards.published} published")
    return database.count_cards(owner)


def _imported_over_http(stack: RunningStack, owner: UUID, cards: Cards) -> Any:
    def check(_: Any, status: dict[str, Any]) -> int:
        said = status["result"]["cards_imported"]
        found = imported(stack, owner, cards)
        if said != found:
            raise WrongCount(f"the status says {said} cards, the table has {found}")
        return found

    return check


def _runners(count: int) -> str:
    return "1 runner" if count == 1 else f"{count} runners"
