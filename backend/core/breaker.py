"""A circuit breaker: what has just failed is not tried again for a moment.

So that a Redis that is down costs one time-out a second, not one per request.
"""

from __future__ import annotations

import threading
import time


class Breaker:
    """Opens after ``failures`` failures in a row; lets one try through after ``cool_down_seconds``.

    Safe to share between threads.
    """

    def __init__(self, failures: int = 1, cool_down_seconds: float = 1.0) -> None:
        self._most = failures
        self._cool_down = cool_down_seconds
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._closed_from = 0.0

    def allows(self) -> bool:
        """Whether to try. While open, true for one caller per cool-down: the probe."""
        with self._lock:
            if self._in_a_row < self._most:
                return True
            now = time.monotonic()
            if now < self._closed_from:
                return False
            self._closed_from = now + self._cool_down
            return True

    def failed(self) -> None:
        """Report a failure."""
        with self._lock:
            self._in_a_row += 1
            self._closed_from = time.monotonic() + self._cool_down

    def succeeded(self) -> None:
        """Report a success: closed again."""
        with self._lock:
            self._in_a_row = 0
