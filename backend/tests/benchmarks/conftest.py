"""The running stack, as benchmarks see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend.tests.support.stack import Stack
from benchmarks.servers import RunningStack


@pytest.fixture
def running(stack: Stack) -> Iterator[RunningStack]:
    """Emptied afterwards: a raw COPY's cards have no awards, and other tests verify this stack's books."""
    benchmarked = RunningStack(stack)
    yield benchmarked
    benchmarked.empty()
