"""docs/explanation/growth.md tells the bounds that are held here."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.settings import Settings
from backend.tests.performance import test_bytes, test_memory, test_requests, test_statements

PAGE = (Path(__file__).parents[3] / "docs/explanation/growth.md").read_text()
_PARTS, _CALLS = test_statements.BOUNDS, test_requests.BOUNDS
_SETTINGS = Settings()


@pytest.mark.parametrize(
    "line",
    [
        f"| {_PARTS['create'].part_statements} for an import, {_PARTS['soft delete'].part_statements} for a",
        f"| {_CALLS['status'].postgres} to PostgreSQL, {_CALLS['status'].redis} to Redis |",
        f"| {_CALLS['import'].postgres} to PostgreSQL, {_CALLS['import'].redis} to Redis |",
        f"| {test_bytes.BOUNDS['import'].sent / test_bytes.CARD:.2f} times its JSON; staged in a third",
        f"| {test_memory.ACCEPTING} times their JSON",
        f"| {test_memory.WORKING} times the JSON of its part",
        f"| PostgreSQL, an API process | {_SETTINGS.db_pool_size + _SETTINGS.db_pool_overflow + 1} |",
    ],
)
def test_the_page_has_the_bounds_of_the_tests(line):
    assert line in PAGE
