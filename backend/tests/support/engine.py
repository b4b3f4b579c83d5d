"""Drive the engine without HTTP and without a broker: submit, run, look."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

from backend.core.ids import new_id, new_operation_id
from backend.core.settings import get_settings
from backend.core.texts import Texts
from backend.db.session import unit_of_work
from backend.ledger import invariants
from backend.operations import actions, parts, report, store
from backend.operations.attempts import Worker
from backend.operations.idempotency import Answer, Repeatable
from backend.operations.parts import Part
from backend.operations.runner import Runner
from backend.operations.store import NewOperation, Operation
from backend.operations.submit import Submission, sizes, submit

DEFAULTS: dict[str, Any] = {
    "publish_business": True,
    "publish_ideas": True,
    "on_duplicate": "create",
    "error_policy": "reject_failed_rows",
    "dry_run": False,
}


def card(number: int, **fields: Any) -> dict[str, Any]:
    """A valid card; ``fields`` override."""
    plain = {"title": f"Card {number}", "body": f"Body {number}", "category": "Test"}
    return {**plain, "privacy_level": "BUSINESS", **fields}


def cut(raws: list[bytes]) -> list[Part]:
    """Records in parts, as the API cuts them."""
    return list(parts.cut(Texts.of(raws), sizes(get_settings())))


class Engine:
    """One owner's view of the engine in this process."""

    def __init__(self, owner: UUID, node: str = "test@localhost") -> None:
        self.owner = owner
        self.worker = Worker(node, new_id())
        self.caller = actions.Caller(owner)

    def start(
        self, kind: str, staged: list[Part], options: dict[str, Any], *, request: Repeatable | None = None
    ) -> UUID:
        ordered = options.get("on_duplicate", "create") != "create" or options.get("dry_run")
        ordered = ordered or options.get("error_policy") == "reject_everything"
        new = NewOperation(new_operation_id(), self.owner, kind, 1 if ordered else 4, options)
        answer = submit(Submission(new, staged, "{count} items"), request)
        return UUID(answer.body["task_id"])

    def imports(self, cards: list[Any], request: Repeatable | None = None, **options: Any) -> UUID:
        """Submit an import."""
        raws = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in cards]
        return self.start("import", cut(raws), DEFAULTS | options, request=request)

    def deletes(self, ids: list[Any], kind: str = "delete", **options: Any) -> UUID:
        """Submit a delete, or a restore."""
        raws = [json.dumps(str(one)).encode() for one in ids]
        options = {"soft_delete": True} | options if kind == "delete" else options
        return self.start(kind, cut(raws), options)

    def runner(self, **more: Any) -> Runner:
        return Runner(self.worker, **more)

    def run(self) -> None:
        """Run until nothing can be taken."""
        self.runner().run()

    def done(self, operation: UUID | Answer) -> dict[str, Any]:
        """Run everything; the operation's final status."""
        if isinstance(operation, Answer):
            operation = UUID(operation.body["task_id"])
        self.run()
        return self.status(operation)

    def status(self, operation: UUID) -> dict[str, Any]:
        with unit_of_work(self.owner) as connection:
            status = report.current(connection, self.owner, operation)
        assert status is not None
        return status

    def operation(self, operation: UUID) -> Operation:
        with unit_of_work(self.owner) as connection:
            found = store.get(connection, self.owner, operation)
        assert found is not None
        return found

    def results(self, operation: UUID) -> list[dict[str, Any]]:
        with unit_of_work(self.owner) as connection:
            return report.results(connection, self.operation(operation), 0, 100_000)

    def errors(self, operation: UUID) -> list[store.ItemError]:
        with unit_of_work(self.owner) as connection:
            return list(report.every_error(connection, operation))

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Rows of a statement, as the superuser."""
        from sqlalchemy import text

        with unit_of_work() as connection:
            return list(connection.execute(text(statement), values))

    def cards(self) -> list[Any]:
        """The owner's living cards, in id order."""
        return self.rows(
            "SELECT * FROM cards WHERE user_id = :owner AND deleted_at IS NULL ORDER BY id", owner=self.owner
        )

    def books(self) -> list[invariants.Violation]:
        """What does not add up."""
        return invariants.violations()


def repeatable(key: str, body: bytes = b"") -> Repeatable:
    """A request under an idempotency key."""
    return Repeatable(key, uuid.uuid5(uuid.NAMESPACE_OID, body.hex()).bytes * 2)
