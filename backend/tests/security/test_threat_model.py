"""The threat model names tests; they exist."""

from __future__ import annotations

import ast
import gc
import re
from pathlib import Path

import pytest

from backend.tests.docs.pages import ROOT, page

ROWS = page("docs/explanation/security.md").table("## OWASP API Security Top 10 (2023)")


def parsed(path: Path) -> ast.Module:
    """The tree of a file. CPython 3.11 may fail to build one when a finalizer runs in the middle of it."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def test_each_of_the_ten_is_there_in_order() -> None:
    assert [row[0].split()[0] for row in ROWS] == [f"API{number}" for number in range(1, 11)]


@pytest.mark.parametrize(("risk", "tried_by"), [(row[0], row[2]) for row in ROWS])
def test_each_risk_names_tests_that_exist_and_are_not_skipped(risk: str, tried_by: str) -> None:
    named = re.findall(r"([\w/]+\.py)::(\w+)", tried_by)
    assert len(named) >= 2, risk
    for file, name in named:
        tree = parsed(ROOT / "backend/tests" / file)
        found = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == name]
        assert len(found) == 1, (file, name)
        assert not any("skip" in ast.unparse(mark) for mark in found[0].decorator_list), name
