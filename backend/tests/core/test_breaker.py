"""The breaker: what has just failed is left alone for a moment, then tried by one."""

from __future__ import annotations

import threading
import time

from backend.core.breaker import Breaker


def test_it_lets_everybody_through_until_it_has_failed_often_enough():
    breaker = Breaker(failures=2, cool_down_seconds=60)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()


def test_a_success_between_failures_starts_the_count_again():
    breaker = Breaker(failures=2, cool_down_seconds=60)
    for _ in range(3):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_pause_one_caller_tries_and_the_others_wait_for_him():
    breaker = Breaker(cool_down_seconds=0.2)
    breaker.failed()
    assert not breaker.allows()
    time.sleep(0.25)
    allowed: list[bool] = []
    callers = [threading.Thread(target=lambda: allowed.append(breaker.allows())) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert allowed.count(True) == 1
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows()
