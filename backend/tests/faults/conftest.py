"""Worlds to break, one per test module; tests leave theirs whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend.tests.faults.chaos import SETTINGS
from backend.tests.faults.load import Client
from backend.tests.faults.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stack with one worker, on servers and a network of the test's own."""
    with World(tmp_path_factory.mktemp("world"), workers=1, settings=SETTINGS) as made:
        yield made


@pytest.fixture
def client(world: World, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A fresh owner's client; the world is whole before and the books add up after."""
    world.wait_healthy()
    made = Client(world.url, world.key_of(f"owner of {request.node.name}"[:200]))
    yield made
    made.close()
    assert world.violations() == []
