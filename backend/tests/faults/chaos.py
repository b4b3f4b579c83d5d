"""Faults at seeded moments. The seed decides what happens, in which order and after how long at least.

A fault waits until something was done since the one before: on a slow machine workers would otherwise be
killed faster than they start, and nothing would be in the middle of anything.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

from redis.exceptions import RedisError

from backend.tests.faults.proxy import Proxy
from backend.tests.faults.world import World

# What happens how often. Worker children die most: theirs are the transactions.
WEIGHTS = {
    "kill child": 46,
    "kill worker": 12,
    "kill api": 8,
    "kill beat": 5,
    "kill redis": 7,
    "kill postgres": 5,
    "stop child": 3,
    "flushall": 4,
    "cut redis": 3,
    "cut postgres": 3,
    "delay redis": 2,
    "delay postgres": 1,
    "swallow redis": 1,
}
PATIENCE_SECONDS = 10.0  # then the next fault comes although nothing moves: faults may pile up too
LOOK_SECONDS = 0.1
STOPPED_SECONDS = 5.0  # longer than the idle-in-transaction limit that these stacks run with
IDLE_LIMIT_SECONDS = 3
SETTINGS = {
    "DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": str(IDLE_LIMIT_SECONDS),
    "DB_STATEMENT_TIMEOUT_SECONDS": "8",  # one that stands still in the middle of a COPY is not idle
}


class Chaos:
    """Call ``step()`` again and again, from the thread that made the world.

    Args:
        pace_seconds: how long to wait between two faults, on average and at least.

    Attributes:
        happened: what happened how often; ``kills`` is the number of processes that got SIGKILL.
    """

    def __init__(self, world: World, seed: int, pace_seconds: float = 1.0) -> None:
        self._world = world
        self._random = Random(seed)
        self._pace = pace_seconds
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._next = self._look = self._last = time.monotonic()
        self._done = 0
        self._down: dict[str, float] = {}  # servers, and until when they are to stay down if they are
        self.happened: Counter[str] = Counter()
        self.plan: list[tuple[str, float]] = []  # every fault drawn, with its draw

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.happened.items() if name.startswith("kill"))

    def step(self) -> None:
        """Do what is due now, perhaps a fault; then a short nap."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()
        self._tend(now)
        if now >= self._next and self._moved(now):
            self._last = now
            self._next = now + self._random.uniform(0.2, 1.8) * self._pace
            name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            draw = self._random.random()
            self.plan.append((name, draw))
            if self._do(name, draw):
                self.happened[name] += 1
        time.sleep(0.02)

    def _moved(self, now: float) -> bool:
        """Whether a part has ended since the last fault, or the patience has."""
        if now - self._last >= PATIENCE_SECONDS:
            return True
        if now < self._look:
            return False
        self._look = now + LOOK_SECONDS
        done = self._world.parts_done()
        if done is None or done == self._done:
            return False
        self._done = done
        return True

    def end(self) -> None:
        """Mend everything: nobody stands still, servers run, the network passes everything on."""
        while self._later:
            heapq.heappop(self._later)[2]()
        for proxy in (self._world.redis_proxy, self._world.postgres_proxy):
            proxy.mend()
        self._down.clear()
        for _ in range(40):
            self._tend(time.monotonic())
            time.sleep(0.05)

    def _do(self, name: str, draw: float) -> bool:
        """Whether it happened (there may be nobody to kill just now)."""
        what, _, whom = name.partition(" ")
        world = self._world
        if what == "kill":
            pids = world.pids(whom)
            killed = bool(pids) and world.kill(pids[int(draw * len(pids))])
            if killed and whom in ("redis", "postgres"):
                self._down[whom] = time.monotonic() + 2 * draw
            return killed
        if what == "stop":
            pids = world.pids(whom)
            if not pids:
                return False
            return self._stop(pids[int(draw * len(pids))])
        if what == "flushall":
            with suppress(RedisError), world.redis_client() as client:
                client.flushall()
                return True
            return False
        proxy: Proxy = world.redis_proxy if whom == "redis" else world.postgres_proxy
        if what == "cut":
            return proxy.cut() > 0
        if what == "delay":
            proxy.delay(0.02 + 0.2 * draw)
        else:
            proxy.swallow()
        self._after(1 + 3 * draw, proxy.mend)
        return True

    def _tend(self, now: float) -> None:
        """Start what is down again, and again: PostgreSQL refuses while one process of the last one lives."""
        for name in ("redis", "postgres"):
            child = getattr(self._world, name).child
            if now >= self._down.get(name, 0.0) and child.ended() is not None:
                child.start()
                self._down[name] = now + 0.5

    def _stop(self, pid: int) -> bool:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False

        def go_on() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        self._after(STOPPED_SECONDS, go_on)
        return True

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), call))
