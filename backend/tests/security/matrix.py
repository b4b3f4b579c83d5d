"""Every route of the API, and what somebody else's id does there. A new route is written down here first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["public", "own", "by id", "in body", "admin"]


@dataclass(frozen=True)
class Route:
    """How a route is tried.

    kind: ``public``: no key is needed, and nothing of anybody is shown. ``own``: shows and changes only what
        is the caller's. ``by id``: the path names a thing; another owner's is as unknown as an unknown one.
        ``in body``: ids in the body, each of which succeeds or fails by itself. ``admin``: refused.
    thing: which of the victim's things the id names.
    fields: every id-bearing parameter and body field, as the OpenAPI document names them.
    """

    kind: Kind
    thing: str = ""
    fields: frozenset[str] = frozenset()
    body: dict[str, Any] = field(default_factory=dict)


def _by_id(thing: str, parameter: str, *more: str, **body: Any) -> Route:
    return Route("by id", thing, frozenset({parameter, *more}), body)


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/bulk/import"): Route("in body", "external id", frozenset({"external_id"})),
    ("POST", "/bulk/import/preview"): Route("own", fields=frozenset({"external_id"})),
    ("POST", "/bulk/export"): Route("in body", "card", frozenset({"card_ids"})),
    ("POST", "/bulk/delete"): Route("in body", "card", frozenset({"card_ids"})),
    ("POST", "/bulk/restore"): Route("in body", "deleted card", frozenset({"card_ids"})),
    ("GET", "/bulk/presets"): Route("own"),
    ("GET", "/bulk/status/{task_id}"): _by_id("operation", "task_id"),
    ("GET", "/bulk/operations"): Route("own", fields=frozenset({"page_token"})),
    ("POST", "/bulk/operations/{task_id}/cancel"): _by_id("operation", "task_id"),
    ("POST", "/bulk/operations/{task_id}/retry"): _by_id("operation", "task_id"),
    ("POST", "/bulk/operations/{task_id}/undo"): _by_id("operation", "task_id"),
    ("GET", "/bulk/operations/{task_id}/errors"): _by_id("operation", "task_id"),
    ("GET", "/bulk/operations/{task_id}/results"): _by_id("operation", "task_id", "page_token"),
    ("GET", "/bulk/operations/{task_id}/download"): _by_id("export", "task_id"),
    ("GET", "/bulk/operations/{task_id}/download-url"): _by_id("export", "task_id"),
    ("GET", "/cards/export"): Route("own", "card", frozenset({"card_ids"})),
    ("GET", "/tokens/balance"): Route("own"),
    ("GET", "/tokens/ledger"): Route("own", fields=frozenset({"page_token"})),
    ("POST", "/api/keys"): Route("own"),
    ("GET", "/api/keys"): Route("own", fields=frozenset({"page_token"})),
    ("DELETE", "/api/keys/{key_id}"): _by_id("key", "key_id"),
    ("POST", "/api/keys/{key_id}/rotate"): _by_id("key", "key_id"),
    ("GET", "/audit"): Route("admin", fields=frozenset({"user_id", "page_token"})),
    ("GET", "/bulk/health"): Route("public"),
    ("GET", "/health/live"): Route("public"),
    ("GET", "/health/ready"): Route("public"),
    ("GET", "/metrics"): Route("public"),
}

# Not in the OpenAPI document: pages and files without anything of anybody.
OUTSIDE_THE_DOCUMENT = re.compile(r"/openapi\.json|/docs(/.*)?|/|/static/.*|/favicon\.ico")

_ID_BEARING = re.compile(r"(^|_)(id|ids|token|cursor)$")


def id_fields(document: dict[str, Any], operation: dict[str, Any]) -> frozenset[str]:
    """Names of the parameters and body fields of an operation that carry ids or positions."""
    names = {one["name"] for one in operation.get("parameters", ()) if one["in"] in ("path", "query")}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        names |= set(_properties(document, content.get("schema", {}), set()))
    return frozenset(name for name in names if _ID_BEARING.search(name))


def _properties(document: dict[str, Any], schema: Any, seen: set[str]) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _properties(document, one, seen)
    elif isinstance(schema, dict):
        reference = schema.get("$ref")
        if reference and reference not in seen:
            seen.add(reference)
            found: Any = document
            for step in reference.removeprefix("#/").split("/"):
                found = found[step]
            yield from _properties(document, found, seen)
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from _properties(document, value, seen)
