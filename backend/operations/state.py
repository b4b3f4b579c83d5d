"""Pure: the state machine of an operation, its progress, its backoff and its estimate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil


class State(StrEnum):
    """What an operation is in. ``/bulk/status`` says CANCELLED as FAILURE, see ``public``."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"


class PartState(StrEnum):
    """What a part is in. DONE and FAILED are counted, CANCELLED never ran."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


# Drawn in docs/explanation/state-machine.md; a test holds the drawing against this table.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.STARTED, State.CANCELLED}),
    State.STARTED: frozenset({State.RETRY, State.SUCCESS, State.FAILURE, State.CANCELLED}),
    State.RETRY: frozenset({State.STARTED, State.FAILURE, State.CANCELLED}),
    State.SUCCESS: frozenset(),
    State.FAILURE: frozenset(),
    State.CANCELLED: frozenset(),
}
FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
CANCELLED_ERROR = "Cancelled"


def public(state: State) -> str:
    """The documented state: the documented client stops only on SUCCESS and FAILURE."""
    return State.FAILURE.value if state is State.CANCELLED else state.value


def outcome(*, failed_parts: int, cancelled_parts: int) -> State:
    """The final state of an operation none of whose parts is pending."""
    if cancelled_parts:
        return State.CANCELLED
    return State.FAILURE if failed_parts else State.SUCCESS


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over an operation's finished parts. ``imported`` counts exported, deleted, restored items too."""

    processed: int = 0
    imported: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    published: int = 0
    awarded: int = 0
    pending_parts: int = 0
    failed_parts: int = 0
    cancelled_parts: int = 0


def progress(current: int, total: int) -> dict[str, int]:
    """The documented progress object; ``percent`` is rounded down, so 100 means all of it."""
    return {"current": current, "total": total, "percent": current * 100 // total if total else 100}


def backoff(attempt: int, first: float) -> float:
    """Seconds to wait after the given attempt (1-based) failed: doubling, at most a minute."""
    return float(min(60.0, first * 2 ** (attempt - 1)))


def estimate(items: int, rate: float | None, *, fallback: float) -> int:
    """Whole seconds, at least 1, for so many items at ``rate`` items a second."""
    return max(1, ceil(items / (rate or fallback)))
