"""What the security tests share: the log as it is written."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from backend.core.logging import configure
from backend.core.settings import get_settings


@pytest.fixture(params=["json", "console"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Logging as the API configures it; what it wrote so far."""
    monkeypatch.setenv("LOG_FORMAT", request.param)
    get_settings.cache_clear()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure("api")
    written = io.StringIO()
    root.handlers[0].setStream(written)  # type: ignore[attr-defined]
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the test's own client
    yield written.getvalue
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)
    get_settings.cache_clear()
