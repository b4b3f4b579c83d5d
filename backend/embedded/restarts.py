"""How long to wait before what died is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_SECONDS = 5.0
DELAYS = (0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Restarts:
    """The deaths in a row of one process.

    One that lived long starts again at once; one that dies right after each start waits longer each time, but
    never beyond 1.5 s: a process is back within 2 s whatever happens.
    """

    quick_deaths: int = 0

    def after(self, lived_seconds: float) -> Restarts:
        """The state after one more death."""
        return Restarts(self.quick_deaths + 1 if lived_seconds < QUICK_SECONDS else 0)

    @property
    def delay_seconds(self) -> float:
        """Wait this long before the next start."""
        return DELAYS[min(self.quick_deaths, len(DELAYS) - 1)]

    @property
    def looks_like_a_loop(self) -> bool:
        """Whether a human should look at its log now: once, when the longest wait is reached."""
        return self.quick_deaths == len(DELAYS) - 1
