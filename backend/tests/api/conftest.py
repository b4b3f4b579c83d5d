"""The API in this process, on a fresh database."""

from __future__ import annotations

import pytest

from backend.tests.support.service import InProcess


@pytest.fixture
def service(database: str) -> InProcess:
    """The app, and a fresh user's key in ``headers``."""
    return InProcess(database)
