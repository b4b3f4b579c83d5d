"""How long the supervisor waits before it starts again what died."""

from __future__ import annotations

from backend.embedded.restarts import Restarts


def test_what_lived_long_starts_again_at_once():
    state = Restarts()
    for _ in range(20):
        state = state.after(lived_seconds=60)
        assert state.delay_seconds == 0


def test_quick_deaths_wait_longer_each_time_and_never_beyond_the_promise():
    state, delays = Restarts(), []
    for _ in range(30):
        state = state.after(lived_seconds=0.1)
        delays.append(state.delay_seconds)
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert 1 < delays[-1] < 2


def test_one_long_life_forgives_all_quick_deaths():
    state = Restarts(quick_deaths=10).after(lived_seconds=30)
    assert state == Restarts()


def test_a_loop_is_reported_once():
    state, reports = Restarts(), 0
    for _ in range(30):
        state = state.after(lived_seconds=0.1)
        reports += state.looks_like_a_loop
    assert reports == 1
