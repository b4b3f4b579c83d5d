"""Every route of the OpenAPI document under fuzz, with all of schemathesis's checks.

A short run in ``make test``; ``make fuzz`` (``--long``) sends at least 20,000 cases.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

from backend.tests.fuzz.document import load
from backend.tests.fuzz.tally import TALLY
from backend.tests.support.service import InProcess

LONG = settings.get_current_profile_name() == "long"  # in each process of xdist, too
schema = load()


@schema.parametrize()
@settings(
    max_examples=1_000 if LONG else 6,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_contract(case: Any, service: InProcess) -> None:
    """What the document allows and what it does not; nothing that is started is run."""
    TALLY.case(case.operation.label)
    case.call_and_validate(headers=service.headers)
