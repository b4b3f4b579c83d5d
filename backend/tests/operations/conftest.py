"""The engine, driven in this process."""

from __future__ import annotations

from uuid import UUID

import pytest

from backend.tests.support.engine import Engine


@pytest.fixture
def engine(owner: UUID) -> Engine:
    """The engine as one owner sees it."""
    return Engine(owner)
