"""Import one part: decode, validate, publish, COPY, award. One transaction, the caller's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import exc

from backend.cards import store as cards
from backend.cards.reading import members, read_card, read_cards, read_lines
from backend.cards.rules import Publishing
from backend.cards.schema import CardIn, CardProblem
from backend.cards.store import CopyData, Row, RowBuilder
from backend.core.ids import card_range
from backend.core.texts import Texts
from backend.db.session import execute
from backend.formats.json_tape import Tape
from backend.formats.registry import to_card
from backend.formats.strict_json import are_accounted_for, are_strict
from backend.ledger import store as ledger
from backend.operations import parts
from backend.operations.store import ItemError, PartResult
from backend.operations.working import Work

Change = tuple[UUID, Row]
Indexed = tuple[int, CardIn]
_FIRST_CARDS, _BATCH_CARDS, _BATCH_BYTES = 32, 100, 256 * 1024


def run(work: Work) -> PartResult:
    """Make the part's cards, their awards and the owner's balance; bad cards become item errors.

    Idempotent: card ids follow from the operation and the index, so running a committed part again could
    only collide, and the part's own row keeps it from being run at all.
    """
    return _Import(work).run()


class _Import:
    def __init__(self, work: Work) -> None:
        claim = work.claim
        assert claim.payload is not None
        self.claim = claim
        self.owner = claim.operation.user_id
        self.connection = work.connection
        self.now = work.now
        self.options = claim.operation.options
        source = self.options.get("source") or {"name": "json", "context": {}}
        self.name: str = source["name"]
        self.context: dict[str, Any] = source["context"]
        self.result = PartResult()
        self.staged = parts.Payload(claim.payload)
        self.batches = list(_batches(self.staged.lengths))
        self.tape = Tape()
        publishing = Publishing(
            self.options.get("publish_business", True), self.options.get("publish_ideas", True)
        )
        self.builder = RowBuilder(
            self.owner, claim.operation.id, publishing.levels(), work.settings.public_base_url, work.now
        )

    def run(self) -> PartResult:
        mode = self.options.get("on_duplicate", "create")
        if mode == "create" and self.insert_as_read():
            self.award()
            return self.result
        rows = [self.builder.row(index, card) for some in self.read() for index, card in some]
        changes = list[Change]()
        if mode != "create":
            rows, changes = self.sort_out(mode, rows)
        self.insert(rows)
        self.award(self.update(changes))
        return self.result

    def read(self, *, nul: bool = False) -> Iterator[Iterable[Indexed]]:
        """The part's cards with their indexes, some at a time; what is no card fails.

        Args:
            nul: NUL characters need not be found: PostgreSQL refuses them.
        """
        first = self.claim.first_index
        for start, end in self.batches:
            records = self.staged.records(start, end)
            found = self.found(records, nul)
            good = [card for card in found if isinstance(card, CardIn)]
            all_good = len(good) == len(found)
            yield enumerate(good, first + start) if all_good else self.good(first + start, records, found)

    def found(self, records: Texts, nul: bool) -> Sequence[CardIn | CardProblem | None]:
        """What the records are as they stand; ``None`` where that is not asked or not certain."""
        if self.name == "json":
            return read_cards(records, nul=nul)
        if self.name == "ndjson":
            cards = read_lines(records, nul=nul)
            if cards is not None and are_accounted_for(records, *members(cards), self.tape):
                return cards
            if are_strict(records):
                return read_cards(records, nul=nul) if cards is None else cards
        return [None] * len(records)

    def good(
        self, first: int, records: Texts, found: Sequence[CardIn | CardProblem | None]
    ) -> Iterator[Indexed]:
        """The cards among the records, with their indexes."""
        for index, (card, raw) in enumerate(zip(found, records.split(), strict=True), first):
            if not isinstance(card, CardIn):
                # A file's record; or one of an errors file, whose card lies deeper.
                card = self.mapped(raw, card)
            if isinstance(card, CardIn):
                yield index, card
            else:
                self.fail(index, card.code, card.message, card.field, card.title)

    def mapped(self, raw: bytes, found: CardProblem | None) -> CardIn | CardProblem:
        """What the source makes of a record that is no card as it stands (``found`` says why, if known)."""
        mapped = to_card(self.name, self.context, raw, self.options)
        if isinstance(mapped, dict):
            mapped = json.dumps(mapped).encode()
        if not isinstance(mapped, bytes):
            return CardProblem(mapped.code, mapped.message, mapped.field)
        return found if found is not None and mapped == raw else read_card(mapped)

    def sort_out(self, mode: str, rows: list[Row]) -> tuple[list[Row], list[Change]]:
        """Part the new from the known, as ``on_duplicate`` says; of equals the first is the card."""
        known = cards.find_same(self.connection, self.owner, [row.fingerprint for row in rows])
        new: dict[bytes, Row] = {}
        changes: dict[UUID, Row] = {}
        for row in rows:
            same, earlier = known.get(row.fingerprint), new.get(row.fingerprint)
            if same is None and earlier is None:
                new[row.fingerprint] = row
            elif mode == "fail":
                self.fail(row.index, "duplicate", "is already there", None, row.card.title)
            elif mode == "skip":
                self.skip(row.index, same or earlier.id)  # type: ignore[union-attr]
            elif same is not None:
                if same in changes:  # the later one of the part overtakes it
                    self.skip(changes[same].index, same)
                changes[same] = row
            elif earlier is not None:  # new, and twice in this part: the later text under the first id
                new[row.fingerprint] = self.builder.row(earlier.index, row.card)
                self.skip(row.index, earlier.id)
        return list(new.values()), list(changes.items())

    def insert_as_read(self) -> bool:
        """COPY the cards while they are read, some in memory at a time. Whether PostgreSQL took them all.

        The savepoint is left standing: giving it up is a round trip. And the same subtransaction then looks
        at the owner for each card and pays later; two of them would leave a multixact in the owner's row,
        which slows the looks of the parts that follow. Where all parts are one transaction, they would stand
        one in another, hundreds deep: there each is given up.
        """
        taken = True
        execute(self.connection, "SAVEPOINT read", {})
        try:
            self.copy(map(self.builder.batch, self.read(nul=True)), len(self.batches))
        except psycopg.Error as error:
            if not is_refusal(error):
                raise
            execute(self.connection, "ROLLBACK TO SAVEPOINT read", {})
            self.result = PartResult()
            taken = False
        if self.claim.operation.atomic:
            execute(self.connection, "RELEASE SAVEPOINT read", {})
        return taken

    def insert(self, rows: Sequence[Row]) -> None:
        """COPY the rows; where PostgreSQL refuses the batch, halve it until each bad card is named."""
        bounds = list(_batches([len(row.data) for row in rows]))
        # One batch's data at a time: of all rows it would be in memory once more.
        batches = (CopyData.of(rows[start:end]) for start, end in bounds)
        error = self.copied(batches, len(bounds)) if rows else None
        if error is None:
            return
        if len(rows) == 1:
            self.refuse(rows[0], error)
            return
        middle = len(rows) // 2
        self.insert(rows[:middle])
        self.insert(rows[middle:])

    def copied(self, batches: Iterable[CopyData], count: int) -> BaseException | None:
        """COPY the rows and count them, or nothing of both: then why PostgreSQL refused."""
        try:
            with self.connection.begin_nested():
                self.copy(batches, count)
        except (psycopg.Error, exc.DBAPIError) as error:
            if not is_refusal(error):
                raise
            return error
        return None

    def copy(self, batches: Iterable[CopyData], count: int) -> None:
        """COPY the rows, and count them once PostgreSQL has them all."""
        imported = published = 0

        def counted() -> Iterator[CopyData]:
            nonlocal imported, published
            for batch in batches:
                imported += batch.cards
                published += batch.published
                yield batch

        cards.insert(self.connection, self.owner, counted(), count)
        self.result.imported += imported
        self.result.published += published

    def update(self, changes: Sequence[Change]) -> list[Change]:
        """Overwrite known cards; those refused are named one by one, like new ones."""
        if not changes:
            return []
        try:
            with self.connection.begin_nested():
                cards.update(self.connection, self.owner, changes, self.now)
        except (psycopg.Error, exc.DBAPIError) as error:
            if not is_refusal(error):
                raise
            if len(changes) == 1:
                self.refuse(changes[0][1], error)
                return []
            middle = len(changes) // 2
            return [*self.update(changes[:middle]), *self.update(changes[middle:])]
        self.result.updated += len(changes)
        self.result.outcomes.extend((row.index, "updated", str(card)) for card, row in changes)
        return list(changes)

    def award(self, changed: Sequence[Change] = ()) -> None:
        operation, result = self.claim.operation, self.result
        if result.published:
            first, last = card_range(operation.id, self.claim.first_index, self.claim.item_count)
            result.awarded = ledger.award_range(
                self.connection, self.owner, operation.id, first, last, self.now
            )
        ids = [card for card, row in changed if row.published_url is not None]
        if ids:
            result.published += len(ids)
            result.awarded += ledger.award_cards(self.connection, self.owner, operation.id, ids, self.now)

    def skip(self, index: int, card: UUID) -> None:
        self.result.skipped += 1
        self.result.outcomes.append((index, "skipped", str(card)))

    def refuse(self, row: Row, error: BaseException) -> None:
        state = getattr(original(error), "sqlstate", None) or "unknown"
        message = f"was refused by the database (SQLSTATE {state})"
        self.fail(row.index, "refused_by_database", message, None, row.card.title)

    def fail(self, index: int, code: str, message: str, field: str | None, title: str | None) -> None:
        offset = index - self.claim.first_index
        row = self.staged.rows[offset] if self.staged.rows else None
        self.result.failed += 1
        self.result.errors.append(
            ItemError(index, code, message, field, title, row, self.staged.record(offset))
        )


def _batches(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Bounds of records that are read together, and stored in one statement.

    Enough for one statement to pay, few enough for memory. The first ones are few: PostgreSQL waits for
    them. The last ones are not many: then we wait for PostgreSQL.
    """
    most, start, weight = _FIRST_CARDS, 0, 0
    for end, length in enumerate(lengths, 1):
        weight += length
        if weight >= _BATCH_BYTES or end - start >= most:
            yield start, end
            most, start, weight = _BATCH_CARDS, end, 0
    if start < len(lengths):
        yield start, len(lengths)


def original(error: BaseException) -> BaseException | None:
    """What the driver raised, below SQLAlchemy's wrapping."""
    return error.orig if isinstance(error, exc.DBAPIError) else error


def is_refusal(error: BaseException) -> bool:
    """Whether PostgreSQL refused the data itself: SQLSTATE classes 22, 23 and 54 (too large)."""
    found = original(error)
    return isinstance(found, psycopg.Error) and (found.sqlstate or "")[:2] in {"22", "23", "54"}
