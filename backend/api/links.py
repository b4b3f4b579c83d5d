"""Links of the OpenAPI document: which request an answer leads to, and where in the answer its id is.

A client generator can follow them, and the fuzz tests do: from an import to its status, errors and undo.
"""

from __future__ import annotations

from typing import Any

_TASK = {"task_id": "$response.body#/task_id"}
_PATH_TASK = {"task_id": "$request.path.task_id"}
_KEY = {"key_id": "$response.body#/id"}
_NEXT = {"page_token": "$response.body#/next_page_token"}

_STATUS = ("GET", "/bulk/status/{task_id}")
_CANCEL = ("POST", "/bulk/operations/{task_id}/cancel")
_RETRY = ("POST", "/bulk/operations/{task_id}/retry")
_UNDO = ("POST", "/bulk/operations/{task_id}/undo")
_ERRORS = ("GET", "/bulk/operations/{task_id}/errors")
_RESULTS = ("GET", "/bulk/operations/{task_id}/results")
_DOWNLOAD = ("GET", "/bulk/operations/{task_id}/download")
_SHARE = ("GET", "/bulk/operations/{task_id}/download-url")
_KEYS = ("GET", "/api/keys")
_REVOKE = ("DELETE", "/api/keys/{key_id}")
_ROTATE = ("POST", "/api/keys/{key_id}/rotate")

Route = tuple[str, str]
# A started operation, whatever started it, leads to all that can be asked of it.
_OF_AN_OPERATION: dict[str, tuple[Route, dict[str, str]]] = {
    "status": (_STATUS, _TASK),
    "errors": (_ERRORS, _TASK),
    "results": (_RESULTS, _TASK),
    "cancel": (_CANCEL, _TASK),
    "retry": (_RETRY, _TASK),
    "undo": (_UNDO, _TASK),
    "download": (_DOWNLOAD, _TASK),
    "share": (_SHARE, _TASK),
}
_OF_A_KEY: dict[str, tuple[Route, dict[str, str]]] = {"rotate": (_ROTATE, _KEY), "revoke": (_REVOKE, _KEY)}
_OF_A_PAGED_OPERATION = {"next": (_RESULTS, _PATH_TASK | _NEXT)}

# (method, path) and status -> link name -> the route it leads to, and where its parameters come from.
LINKS: dict[tuple[Route, str], dict[str, tuple[Route, dict[str, str]]]] = {
    **{
        (("POST", path), "202"): _OF_AN_OPERATION
        for path in (
            "/bulk/import",
            "/bulk/export",
            "/bulk/delete",
            "/bulk/restore",
            "/bulk/operations/{task_id}/retry",
            "/bulk/operations/{task_id}/undo",
        )
    },
    (_STATUS, "200"): _OF_AN_OPERATION,
    (_CANCEL, "200"): _OF_AN_OPERATION,
    (_RESULTS, "200"): _OF_A_PAGED_OPERATION,
    (("GET", "/bulk/operations"), "200"): {
        "next": (("GET", "/bulk/operations"), _NEXT),
        "newest": (_STATUS, {"task_id": "$response.body#/operations/0/task_id"}),
    },
    (("POST", "/api/keys"), "201"): _OF_A_KEY,
    (_ROTATE, "201"): _OF_A_KEY,
    (_KEYS, "200"): {"next": (_KEYS, _NEXT)},
    (("GET", "/tokens/ledger"), "200"): {"next": (("GET", "/tokens/ledger"), _NEXT)},
    (("GET", "/audit"), "200"): {"next": (("GET", "/audit"), _NEXT)},
}


def add(document: dict[str, Any]) -> None:
    """Write the links into an OpenAPI document.

    Raises:
        KeyError: when a link starts from or leads to what is not in it.
    """
    for ((method, path), status), links in LINKS.items():
        answer = document["paths"][path][method.lower()]["responses"][status]
        answer["links"] = {
            name: {
                "operationId": document["paths"][to_path][to_method.lower()]["operationId"],
                "parameters": dict(parameters),
            }
            for name, ((to_method, to_path), parameters) in links.items()
        }
