"""The whole OpenAPI document under fuzz, no 5xx, nothing undocumented.

A short run here; ``make fuzz`` (``--long``) sends at least 20,000 requests. What is started is never run:
the worker's side has its own tests.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from backend.api.app import create_app
from backend.core.settings import get_settings
from backend.tests.support.service import InProcess

LONG = "--long" in sys.argv
EXAMPLES = 900 if LONG else 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


def _operations() -> list[Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app())
    return [
        pytest.param(found.ok(), id=f"{found.ok().method.upper()} {found.ok().path}")
        for found in schema.get_all_operations()
    ]


@pytest.fixture
def service(database: str, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """A fresh database, and no rates in the way."""
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")
    monkeypatch.setenv("MAX_WAITING_OPERATIONS", "1000000")
    get_settings.cache_clear()
    return InProcess(database)


@pytest.mark.parametrize("operation", _operations())
def test_no_request_breaks_the_contract(operation: Any, service: InProcess) -> None:
    """What the document allows and what it does not, with the key of a fresh user."""

    @_SETTINGS
    @given(
        case=st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )
    )
    def fuzz(case: Any) -> None:
        case.call_and_validate(headers=service.headers, checks=CHECKS)

    fuzz()
