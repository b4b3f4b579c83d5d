"""The OpenAPI document as schemathesis reads it, and what no schema can say about our requests.

Every check is on. Where a request can be right by its schema and wrong all the same (a page token that is not
ours, a file that is none), or wrong by its schema and taken all the same (a bad card is a result, not an
error), the statuses that are right there are listed with the reason.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig

from backend.api.app import create_app
from backend.tests.fuzz.tally import TALLY

_ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429"]
_REFUSED = ["400", "401", "403", "404", "405", "406", "409", "410", "413", "415", "422", "428", "429"]

# Path -> further statuses of requests that are right by their schema.
SEMANTICS = {
    "/bulk/operations": ["400"],  # page tokens are ours; times have a zone
    "/bulk/operations/{task_id}/results": ["400"],
    "/tokens/ledger": ["400"],
    "/api/keys": ["400", "422"],  # and an expiry lies ahead; a name holds no control characters
    "/audit": ["400"],
    "/bulk/import": ["400", "413", "415", "422"],  # what a file holds and is called
    "/bulk/import/preview": ["400", "413", "415", "422"],
    "/bulk/export": ["400", "410", "422"],  # formats, ids, levels, times, watermarks
    "/cards/export": ["400", "410", "422"],
    "/bulk/operations/{task_id}/download": ["416"],
}
# Path -> statuses of requests that are wrong by their schema and are not refused as a whole.
WRONG_IN_PARTS = {
    "/bulk/import": ["202"],  # a bad card fails alone
    "/bulk/import/preview": ["200"],
    "/bulk/delete": ["202"],  # so does a bad id
    "/bulk/restore": ["202"],
    "/cards/export": ["200"],  # in a query everything is text: tags=false is the tag "false"
}


@schemathesis.serializer("application/x-ndjson", "application/zip")
def as_they_are(_: Any, value: Any) -> Any:
    """Files of these types are bytes already."""
    return value


def _operation(path: str) -> dict[str, Any]:
    checks: dict[str, Any] = {}
    if path in SEMANTICS:
        checks["positive_data_acceptance"] = {"expected-statuses": _ACCEPTED + SEMANTICS[path]}
    checks["negative_data_rejection"] = {"expected-statuses": _REFUSED + WRONG_IN_PARTS.get(path, [])}
    return {"include-path": path, "checks": checks}


def load() -> Any:
    """The document, bound to an app whose answers are counted."""
    paths = sorted(set(SEMANTICS) | set(WRONG_IN_PARTS))
    config = SchemathesisConfig.from_dict(
        {
            "operations": [_operation(path) for path in paths],
            "generation": {"with-security-parameters": False},  # our own key; ignored_auth tries others
        }
    )
    return schemathesis.openapi.from_asgi("/openapi.json", TALLY.counted(create_app()), config=config)
