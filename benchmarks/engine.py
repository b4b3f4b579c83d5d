"""The real engine in this process: stage an operation, run its parts with one runner."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog

from backend.core.ids import new_id, new_operation_id
from backend.core.settings import get_settings
from backend.core.texts import Texts
from backend.operations import parts
from backend.operations.attempts import Worker
from backend.operations.parts import Part, Sizes
from backend.operations.runner import Runner
from backend.operations.store import NewOperation
from backend.operations.submit import Submission, submit

IMPORT_OPTIONS: dict[str, Any] = {
    "publish_business": True,
    "publish_ideas": True,
    "on_duplicate": "create",
    "error_policy": "reject_failed_rows",
    "dry_run": False,
}


class Engine:
    """One owner's operations, staged and run here."""

    def __init__(self, owner: UUID) -> None:
        self.owner = owner
        self.runner = Runner(Worker("benchmark@localhost", new_id()))
        # Workers log warnings and above as well; the default would print a line per part.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    def stage_import(self, raws: list[bytes], part_size: int, on_duplicate: str = "create") -> UUID:
        """Stage cards (a JSON object each) in parts of exactly ``part_size``."""
        staged = parts.cut(Texts.of(raws), Sizes(part_size, part_size, 1, get_settings().part_max_bytes))
        return self._stage("import", staged, IMPORT_OPTIONS | {"on_duplicate": on_duplicate})

    def stage_delete(self, ids: list[UUID], *, soft: bool) -> UUID:
        """Stage a delete, in parts as the API cuts them."""
        settings = get_settings()
        sizes = Sizes(
            settings.part_min_items, settings.part_max_items, settings.parts_wanted, settings.part_max_bytes
        )
        raws = [json.dumps(str(one)).encode() for one in ids]
        return self._stage("delete", parts.cut(Texts.of(raws), sizes), {"soft_delete": soft})

    def run(self, operation: UUID) -> None:
        """Run its parts until it is over: claims, attempts and the operation's end included."""
        while self.runner.run(operation):
            pass

    def _stage(self, kind: str, staged: Iterable[Part], options: dict[str, Any]) -> UUID:
        side_by_side = 4 if options.get("on_duplicate", "create") == "create" else 1
        new = NewOperation(new_operation_id(), self.owner, kind, side_by_side, options)
        return UUID(submit(Submission(new, staged, "{count} items")).body["task_id"])
