"""What a fuzz run sent, and what came back; the number that ``make fuzz`` prints."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

LEAST_CASES_OF_A_LONG_RUN = 20_000


@dataclass(slots=True)
class Tally:
    """Cases, each one generated request and its probes, and the statuses of all answers to them."""

    cases: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def case(self, label: str) -> None:
        self.cases += 1
        self.routes[label] += 1

    def counted(self, app: Any) -> Any:
        """``app``, its answers counted."""

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.answers[message["status"]] += 1
                await send(message)

            await app(scope, receive, answer)

        return counting

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.answers.items() if status >= 500)

    def lines(self) -> list[str]:
        seconds = time.monotonic() - self.began
        answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.answers.items()))
        return [
            f"{self.cases:,} cases over {len(self.routes)} routes and kinds in {seconds:,.0f} s; "
            f"{self.answers.total():,} answers, {self.server_errors} of them 5xx",
            f"answers by status: {answers}",
        ]


TALLY = Tally()
