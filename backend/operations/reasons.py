"""Why a part failed, for its owner: never a row's content, never a statement."""

from __future__ import annotations

from backend.core.errors import ExtrophiError
from backend.operations.importing import original


def reason_of(error: BaseException) -> str:
    """One line. PostgreSQL's errors by SQLSTATE, ours by their detail, others by their type."""
    if isinstance(error, ExtrophiError):
        return error.detail
    if type(error).__name__ == "SoftTimeLimitExceeded":
        return "it took longer than the time limit"
    found = original(error)
    state = getattr(found, "sqlstate", None)
    if state:
        return f"the database refused it (SQLSTATE {state})"
    return f"an unexpected error ({type(found).__name__})"
