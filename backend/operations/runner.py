"""Take a part, run it, finish its operation; until nothing is left to take or the time slice is over.

A part's end is one commit of everything it did, or nothing. Errors sort into three:

* transient (connection, deadlock, serialization): put off with a growing backoff, at most
  ``part_max_attempts`` starts;
* the item's fault: never here, it is an item error of a part that succeeds;
* anything else: the part fails with its reason, its neighbours go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import Connection

from backend.core.failpoints import hit
from backend.core.settings import Settings, get_settings
from backend.db.session import autocommit, connection_lost, is_transient, unit_of_work
from backend.operations import atomic, attempts, claiming, deleting, ending, export_part, importing, store
from backend.operations.attempts import Worker
from backend.operations.claiming import Candidate, Claim
from backend.operations.finishing import finish_if_over
from backend.operations.reasons import reason_of
from backend.operations.state import backoff
from backend.operations.watching import CancelWatch
from backend.operations.working import DoPart, Interrupted, Work

_DO: dict[str, DoPart] = {
    "import": importing.run,
    "delete": deleting.delete,
    "restore": deleting.restore,
    "export": export_part.run,
}
_POLL_SECONDS = 0.25
_UNREACHABLE_PAUSE_SECONDS = 1.0
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Runner:
    """One runner: a loop over claimable parts.

    Args:
        worker: who counts the attempts.
        stopping: asked between parts; true ends the loop after the part in flight.
    """

    worker: Worker
    stopping: Callable[[], bool] = lambda: False
    settings: Settings = field(default_factory=get_settings)
    _owed: list[tuple[UUID, int]] = field(default_factory=list)  # attempts to excuse once PostgreSQL is back
    _asked: UUID | None = None  # an operation that may be over: looked at once it is known what is not
    _worked: UUID | None = None  # the last part's operation, likewise
    _due: float = 0.0  # when a part that this runner put off is due, on the monotonic clock

    def run(self, operation_id: UUID | None = None) -> bool:
        """Run parts of any operation until none can be taken.

        Args:
            operation_id: an operation that may be over without having been finished; finished then.

        Returns:
            Whether there may be more to do: the time slice was over, or PostgreSQL did not answer.
        """
        ends = time.monotonic() + self.settings.runner_slice_seconds
        self._asked = operation_id
        more = self._run_until(ends)
        return self._guarded(self._finish_worked) is None or more

    def _run_until(self, ends: float) -> bool:
        while not self.stopping():
            took = self._guarded(self.run_one)
            if took is None:
                return True
            if not took:
                if self._due <= time.monotonic() or self._due >= ends:
                    return False
                time.sleep(_POLL_SECONDS)
            if time.monotonic() >= ends:
                return True
        return True

    def _guarded(self, step: Callable[[], bool]) -> bool | None:
        """``None`` when PostgreSQL cannot be used right now: the sweeper will wake somebody later."""
        try:
            return step()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("runner.database_unavailable", error=type(error).__name__)
            time.sleep(_UNREACHABLE_PAUSE_SECONDS)
            return None

    def _finish_asked(self, unfinished: list[Candidate]) -> None:
        asked, self._asked = self._asked, None
        if asked is not None and all(one.id != asked for one in unfinished):
            finish_if_over(asked)

    def _finish_worked(self, *, likely: bool = False) -> bool:
        """Finish the operation of the last part if that is over. Always true."""
        if self._worked is not None:
            finish_if_over(self._worked, likely=likely)
            self._worked = None
        return True

    def run_one(self) -> bool:
        """Take and run one part. Returns whether there was one.

        Its operation is finished after its last part, or when the next part is another's or there is none:
        while we go on with the same one, it cannot be over.
        """
        self._pay_owed()
        waiting: list[Candidate] | None = None
        while waiting is None or waiting:
            attempt = _Attempt()
            try:
                with unit_of_work() as connection:
                    if waiting is None:
                        waiting = claiming.candidates(connection, self.settings)
                        self._finish_asked(waiting)
                        if not waiting:
                            break
                    self._take_and_work(connection, waiting.pop(0), attempt)
                if attempt.claim is None:
                    continue  # others have all of it; leaving the transaction gave the locks back
                hit("run.after_commit")
            except Interrupted:
                self._cancel_rest(attempt)
            except Exception as error:
                if attempt.claim is None or not attempt.count[1]:
                    raise
                self._after_error(attempt.claim, attempt.count, error)
            if attempt.claim is not None:
                self._log(attempt)
                self._worked = attempt.claim.operation.id
                if attempt.last:
                    self._finish_worked(likely=True)
                return True
        self._finish_worked()
        return False

    def _take_and_work(self, connection: Connection, candidate: Candidate, attempt: _Attempt) -> None:
        attempt.claim = claim = claiming.take(connection, candidate, self.settings)
        if claim is None:
            return
        hit("run.after_claim")
        if self._worked != candidate.id:
            self._finish_worked()
        with autocommit() as counting:
            attempt.count = attempts.start(
                counting, self.worker, candidate.user_id, candidate.id, claim.number
            )
        hit("run.after_attempt", f"{candidate.kind}/{claim.number}")
        if attempt.count[0] > self.settings.part_max_attempts or attempt.count[1] > attempts.MOST_STARTS:
            raise _Exhausted
        watch = CancelWatch(candidate)
        work = Work(connection, claim, self.settings, datetime.now(UTC), watch.asked)
        attempt.last = self._do(work, attempt.began)
        hit("run.before_commit")

    def _do(self, work: Work, began: float) -> bool:
        operation = work.claim.operation
        if operation.atomic:
            atomic.run(work, began)
            hit("run.after_work")
            return True
        result = _DO[operation.kind](work)
        hit("run.after_work", f"{operation.kind}/{work.claim.number}")
        return ending.done(work.connection, work.claim, result, began)

    def _after_error(self, claim: Claim, count: tuple[int, int], error: Exception) -> None:
        operation = claim.operation.id
        if isinstance(error, _Exhausted):
            times = self.settings.part_max_attempts
            reason = f"it ended its worker at each of {times} attempts"
            record = count[0] == self.settings.part_max_attempts + 1
            self._give_up(claim, reason, record_items=record)
        elif not is_transient(error):
            log.exception("part.failed", operation=str(operation), part=claim.number)
            self._give_up(claim, reason_of(error))
        elif connection_lost(error):
            self._owed.append((operation, claim.number))
            raise error
        elif count[0] >= self.settings.part_max_attempts:
            self._give_up(claim, f"{reason_of(error)} (after {count[0]} attempts)")
        else:
            seconds = backoff(count[0], self.settings.retry_backoff_seconds)
            log.warning("part.retry", operation=str(operation), part=claim.number, seconds=seconds)
            hit("put_off.before_commit")
            with autocommit() as connection:
                attempts.wait(connection, operation, claim.number, seconds)
            hit("put_off.after_commit")
            self._due = time.monotonic() + seconds + _POLL_SECONDS

    def _give_up(self, claim: Claim, reason: str, *, record_items: bool = True) -> None:
        """Fail the part, and with an atomic operation all of its parts."""
        with unit_of_work() as connection:
            again = claiming.take_one(connection, claim.operation, claim.number)
            if again is None:
                return  # somebody else has it, or has ended it
            ending.failed(connection, again, reason, record_items=record_items)
            if claim.operation.atomic:
                for number in claiming.take_more(connection, again):
                    further = claiming.take_one(connection, claim.operation, number)
                    if further is not None:
                        ending.failed(connection, further, reason, record_items=record_items)
            hit("give_up.before_commit")
        hit("give_up.after_commit")

    def _cancel_rest(self, attempt: _Attempt) -> None:
        assert attempt.claim is not None
        operation_id = attempt.claim.operation.id
        with unit_of_work() as connection:
            # The lock waits for a cancellation that has not committed yet; without one the part is run again.
            operation = store.lock(connection, operation_id)
            if operation is not None and operation.cancel_requested_at is not None:
                ending.cancel_waiting_parts(connection, operation_id)
            hit("interrupted.before_commit")
        hit("interrupted.after_commit")

    def _pay_owed(self) -> None:
        while self._owed:
            operation, part = self._owed[-1]
            hit("excuse.before_commit")
            with autocommit() as connection:
                attempts.excuse(connection, self.worker, operation, part)
            hit("excuse.after_commit")
            self._owed.pop()

    def _log(self, attempt: _Attempt) -> None:
        claim = attempt.claim
        assert claim is not None
        log.debug(
            "part.ended",
            operation=str(claim.operation.id),
            kind=claim.operation.kind,
            part=claim.number,
            seconds=round(time.monotonic() - attempt.began, 4),
        )


@dataclass(slots=True)
class _Attempt:
    claim: Claim | None = None
    count: tuple[int, int] = (0, 0)  # attempts that count, all starts; zeros until counted
    began: float = field(default_factory=time.monotonic)
    last: bool = False  # no other part was pending


class _Exhausted(Exception):
    """A part was started too often; it is failed without being run again."""
