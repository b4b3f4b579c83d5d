"""The API as a caller sees it, in this process or on the whole stack, behind one face."""

from __future__ import annotations

import json
import uuid
from typing import Any, Protocol

import httpx2
import psycopg
from fastapi.testclient import TestClient

from backend.auth import keys, scopes
from backend.auth import store as auth
from backend.core.ids import new_id
from backend.db.session import unit_of_work
from backend.ledger import invariants
from backend.operations.attempts import Worker
from backend.operations.runner import Runner
from backend.tests.support.stack import Stack

Answer = Any  # httpx2.Response, whichever client gave it


class Service(Protocol):
    """What contract tests need. ``headers`` authenticates a fresh user."""

    headers: dict[str, str]
    http: Any

    def finished(self, task_id: str) -> dict[str, Any]:
        """The final status of an operation."""

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the service's database."""

    def new_user(self) -> dict[str, str]:
        """Headers of somebody else."""


def send(service: Service, path: str, body: Any = None, **more: Any) -> Answer:
    """POST ``body`` as JSON with the fresh user's key."""
    headers = {**service.headers, "Content-Type": "application/json", **more.pop("headers", {})}
    # json.dumps escapes what UTF-8 cannot carry, lone surrogates, as a careless caller's library does.
    return service.http.post(path, content=json.dumps(body), headers=headers, **more)


def get(service: Service, path: str, **more: Any) -> Answer:
    headers = {**service.headers, **more.pop("headers", {})}
    return service.http.get(path, headers=headers, **more)


def done(service: Service, answer: Answer) -> dict[str, Any]:
    """The final status of what a POST started."""
    assert answer.status_code == 202, answer.text
    return service.finished(answer.json()["task_id"])


class InProcess:
    """The app in this process on a fresh database; operations run when a test asks for their end."""

    def __init__(self, database: str) -> None:
        from backend.api.app import create_app

        self.database = database
        self.http = TestClient(create_app(), raise_server_exceptions=False)
        self.headers = self.new_user()

    def new_user(self) -> dict[str, str]:
        user = auth.create_user(f"user-{uuid.uuid4()}")
        return {"Authorization": f"Bearer {auth.create_key(user, 'test').key}"}

    def run(self) -> None:
        """Run everything that waits."""
        Runner(Worker("test@localhost", new_id())).run()

    def finished(self, task_id: str) -> dict[str, Any]:
        self.run()
        status = get(self, f"/bulk/status/{task_id}").json()
        assert status["status"] in ("SUCCESS", "FAILURE"), status
        return status

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, values).fetchall()

    def violations(self) -> list[Any]:
        with unit_of_work() as connection:
            return invariants.find(connection)


class OnStack:
    """The whole stack over HTTP."""

    def __init__(self, stack: Stack) -> None:
        self.database = stack.database_url
        self.http = httpx2.Client(base_url=stack.url, timeout=90)
        self._stack = stack
        self.headers = self.new_user()

    def new_user(self) -> dict[str, str]:
        pepper = (self._stack.data_dir / "secrets" / "pepper").read_text().strip().encode()
        key = keys.make(pepper)
        with psycopg.connect(self.database) as connection:
            user = uuid.uuid4()
            connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (user, f"user-{user}"))
            connection.execute(
                "INSERT INTO api_keys (id, user_id, name, prefix, last_four, key_hash, scopes)"
                " VALUES (gen_random_uuid(), %s, 'test', %s, %s, %s, %s)",
                (user, keys.prefix_of(key), key[-4:], keys.hash_of(key, pepper), sorted(scopes.DEFAULT)),
            )
        return {"Authorization": f"Bearer {key}"}

    def finished(self, task_id: str) -> dict[str, Any]:
        for _ in range(5):
            status = get(self, f"/bulk/status/{task_id}?wait=30").json()
            if status["status"] in ("SUCCESS", "FAILURE"):
                return status
        raise AssertionError(status)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, values).fetchall()

    def violations(self) -> list[Any]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(
                "SELECT u.id FROM users u LEFT JOIN extropy_ledger l ON l.user_id = u.id "
                "GROUP BY u.id HAVING u.extropy_balance <> coalesce(sum(l.amount), 0)"
            ).fetchall()
