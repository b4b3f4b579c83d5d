"""A short run of the torture, each time with a seed of its own; and that a seed replays."""

from __future__ import annotations

import secrets

import pytest

from backend.tests.faults import chaos, torture
from backend.tests.faults.chaos import Chaos


@pytest.mark.integration
@pytest.mark.faults
@pytest.mark.slow
def test_imports_under_random_kills_lose_nothing_and_double_nothing(tmp_path, request):
    long = request.config.getoption("--long")
    seed = secrets.randbelow(1_000_000)
    print(f"seed {seed}")
    report = torture.run(
        tmp_path, seed=seed, imports=40 if long else 8, kills=120 if long else 12, cards=1_000,
        pace_seconds=1.0,
    )  # fmt: skip
    print(report.as_json())
    assert report.wrong == [], f"seed {seed}"
    assert report.kills >= 12
    assert report.imports >= 8
    assert report.final_seconds <= 60


class Unbreakable:
    """A world in which every fault fails to happen; it moves all the time."""

    def __init__(self) -> None:
        self.done = 0

    def pids(self, name: str) -> list[int]:
        return []

    def parts_done(self) -> int:
        self.done += 1
        return self.done

    def __getattr__(self, name: str) -> Unbreakable:
        return self

    def __call__(self, *arguments: object, **named: object) -> Unbreakable:
        return self

    def __enter__(self) -> Unbreakable:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __gt__(self, other: object) -> bool:
        return False


def planned(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    monkeypatch.setattr(chaos, "LOOK_SECONDS", 0.0)
    one = Chaos(Unbreakable(), seed, pace_seconds=0.0)  # type: ignore[arg-type]
    while len(one.plan) < 60:
        one.step()
    return one.plan


def test_the_same_seed_plans_the_same_faults_and_another_one_others(monkeypatch):
    first = planned(7, monkeypatch)
    assert planned(7, monkeypatch) == first
    assert planned(8, monkeypatch) != first
    assert {"kill child", "kill worker"} <= {name for name, _ in first}


def test_a_fault_waits_until_something_was_done_since_the_last_one(monkeypatch):
    monkeypatch.setattr(chaos, "LOOK_SECONDS", 0.0)
    world = Unbreakable()
    monkeypatch.setattr(world, "parts_done", lambda: 3)
    one = Chaos(world, 1, pace_seconds=0.0)  # type: ignore[arg-type]
    for _ in range(5):
        one.step()
    assert len(one.plan) == 1
    monkeypatch.setattr(chaos, "PATIENCE_SECONDS", 0.0)
    one.step()
    assert len(one.plan) == 2
