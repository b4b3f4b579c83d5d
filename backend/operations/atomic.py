"""Run every part of an import in one transaction: dry runs, and imports that are all or nothing.

The work is the real work, under a savepoint. A dry run takes it back and keeps the counts; so a dry run
can differ from the real run only by what others committed in between. ``reject_everything`` takes it back
when one card failed. What is kept meanwhile is on disk, not in memory.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

from sqlalchemy import Connection

from backend.operations import claiming, ending, importing
from backend.operations.claiming import Claim
from backend.operations.store import ItemError, PartResult
from backend.operations.working import Interrupted, Work

_IN_MEMORY = 8 * 1024 * 1024


def run(work: Work, began: float) -> None:
    """Run the claimed part and all that follow it, then record each part's end."""
    options = work.claim.operation.options
    reject = options.get("error_policy") == "reject_everything"
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as kept:
        savepoint = work.connection.begin_nested()
        failed = 0
        for claim in _claims(work):
            result = importing.run(replace(work, claim=claim))
            failed += result.failed
            pickle.dump((replace(claim, payload=None), result), kept)
            if work.should_stop():
                raise Interrupted
        rejected = reject and failed > 0
        if rejected or options.get("dry_run"):
            savepoint.rollback()
        else:
            savepoint.commit()
        reason = f"{failed} cards failed, so none was imported" if rejected else None
        for claim, result in _read(kept):
            _end(work.connection, claim, result, reason, began)


def _claims(work: Work) -> Iterator[Claim]:
    first = work.claim
    yield first
    for number in claiming.take_more(work.connection, first):
        claim = claiming.take_one(work.connection, first.operation, number)
        if claim is None:  # cancelled under us: the rest alone would be neither all nor nothing
            raise Interrupted
        yield claim


def _end(connection: Connection, claim: Claim, result: PartResult, reason: str | None, began: float) -> None:
    if reason is not None:
        result = PartResult(
            failed=result.failed,
            skipped=claim.item_count - result.failed,
            errors=result.errors,
            outcomes=_without_effect(claim, result.errors),
            summary={"error": reason},
        )
    ending.done(connection, claim, result, began)


def _without_effect(claim: Claim, errors: list[ItemError]) -> list[tuple[int, str, str | None]]:
    bad = {error.index for error in errors}
    indexes = range(claim.first_index, claim.first_index + claim.item_count)
    return [(index, "skipped", None) for index in indexes if index not in bad]


def _read(file: IO[bytes]) -> Iterator[tuple[Claim, PartResult]]:
    file.seek(0)
    while True:
        try:
            yield pickle.load(file)  # noqa: S301 - written above, by this process
        except EOFError:
            return
