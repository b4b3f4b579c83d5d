"""The service under fuzz; at the end, how many cases there were."""

from __future__ import annotations

import pytest

from backend.api import waiting
from backend.core.settings import get_settings
from backend.limits import wrong_keys
from backend.tests.fuzz.tally import LEAST_CASES_OF_A_LONG_RUN, TALLY
from backend.tests.support.service import InProcess


@pytest.fixture
def service(database: str, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """A fresh database and a fresh user, who may start anything at any rate, and waits for nothing long."""
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")
    monkeypatch.setenv("MAX_WAITING_OPERATIONS", "1000000")
    monkeypatch.setenv("MAX_KEYS_PER_OWNER", "1000000")
    monkeypatch.setattr(wrong_keys, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "LONGEST_SECONDS", 0.1)
    get_settings.cache_clear()
    return InProcess(database)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session):
    """A long run of everything that sent too little did not do what it is for."""
    result = yield
    config = session.config
    whole = config.getoption("--long") and not config.option.keyword and TALLY.cases
    if whole and session.exitstatus == 0 and TALLY.cases < LEAST_CASES_OF_A_LONG_RUN:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if TALLY.cases:
        terminalreporter.section("fuzz")
        for line in TALLY.lines():
            terminalreporter.line(line)
        if config.getoption("--long") and TALLY.cases < LEAST_CASES_OF_A_LONG_RUN:
            terminalreporter.line(f"FEWER than {LEAST_CASES_OF_A_LONG_RUN:,} cases")
