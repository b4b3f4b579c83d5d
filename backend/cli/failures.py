"""Expected errors as one line and an exit code, never as a traceback.

Exit codes: 0 done; 1 the operation failed, or a check found something; 2 the command or its input is wrong;
3 the server cannot be reached or refuses the key.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backend.core.errors import ExtrophiError, Forbidden, Unauthenticated, Unavailable

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
_wanted = {"json": False}


class UsageProblem(Exception):
    """The command cannot be understood or cannot do this; nothing was done."""


class NoServer(Exception):
    """Nothing says which server to talk to, or with which key."""


def _want_json(value: bool) -> bool:
    _wanted["json"] = value
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.", callback=_want_json)]


def forget() -> None:
    """Before each run of the program: no ``--json`` seen yet."""
    _wanted["json"] = False


def expected() -> tuple[type[BaseException], ...]:
    """What ``report`` understands."""
    from backend.client.errors import ClientError

    return (ClientError, ExtrophiError, UsageProblem, NoServer, OSError)


def report(error: BaseException) -> int:
    """Say it on stderr (with ``--json`` also as the document on stdout); the exit code."""
    from backend.cli import render

    code, detail, status = _described(error)
    request_id = getattr(error, "request_id", None)
    if _wanted["json"]:
        problem: dict[str, Any] = {"code": code, "detail": detail}
        if request_id:
            problem["request_id"] = request_id
        if pointers := getattr(error, "errors", ()):
            problem["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in pointers]
        render.document({"error": problem})
    render.say(f"error: {detail}" + (f" (request {request_id})" if request_id else ""), style="red")
    for one in getattr(error, "errors", ()):
        render.say(f"  {one.pointer or '/'}: {one.detail}")
    return status


def _described(error: BaseException) -> tuple[str, str, int]:
    """Code, detail and exit code."""
    from backend.client import errors as client

    match error:
        case client.ApiError():
            return error.code, error.detail, _of_status(error.status)
        case client.ConnectionFailed():
            return "unreachable", f"The server cannot be reached: {error}", UNREACHABLE
        case client.UnexpectedAnswer():
            return "unexpected_answer", str(error), UNREACHABLE
        case NoServer():
            return "no_server", str(error), UNREACHABLE
        case Unavailable() | Unauthenticated() | Forbidden():
            return error.instance_code, error.detail, UNREACHABLE
        case ExtrophiError():
            return error.instance_code, error.detail, FAILED
        case client.WaitTimeout() | client.DownloadFailed():
            return "failed", str(error), FAILED
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return "file_problem", f"{name}{error.strerror or error}", USAGE
    return "usage", str(error), USAGE


def _of_status(status: int) -> int:
    if status in {401, 403, 429} or status >= 500:
        return UNREACHABLE
    return USAGE if status in {400, 413, 415, 422} else FAILED
