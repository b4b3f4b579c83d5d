"""Whether somebody has asked for an operation's end, looked up at most once a second."""

from __future__ import annotations

import time

from sqlalchemy import text

from backend.db.session import autocommit
from backend.operations.claiming import Candidate

_ASKED = text("SELECT cancel_requested_at IS NOT NULL FROM operations WHERE id = :id")
_EVERY_SECONDS = 1.0


class CancelWatch:
    """Asked by parts that run long. On a connection of its own, so the part's snapshot does not matter."""

    def __init__(self, operation: Candidate) -> None:
        self._operation = operation.id
        self._next = time.monotonic() + _EVERY_SECONDS
        self._answer = False

    def asked(self) -> bool:
        """Whether the owner has cancelled the operation."""
        now = time.monotonic()
        if not self._answer and now >= self._next:
            self._next = now + _EVERY_SECONDS
            with autocommit() as connection:
                self._answer = bool(connection.execute(_ASKED, {"id": self._operation}).scalar())
        return self._answer
