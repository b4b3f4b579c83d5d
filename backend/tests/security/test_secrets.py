"""Secrets stay out of logs, answers, ``repr`` and command lines."""

from __future__ import annotations

from urllib.parse import urlsplit

import psutil
import pytest
from sqlalchemy import text

from backend.auth import keys, lookup, store
from backend.core.settings import Settings, get_settings
from backend.db import redis_client, session
from backend.db.session import unit_of_work
from backend.tests.support.service import InProcess

PEPPER = "the-pepper-of-this-installation"


@pytest.fixture
def service(database, monkeypatch) -> InProcess:
    monkeypatch.setenv("API_KEY_PEPPER", PEPPER)
    get_settings.cache_clear()
    lookup.forget()
    redis_client.forget()
    return InProcess(database)


def test_no_key_reaches_a_log_or_an_answer_but_the_one_that_shows_it(service, logged):
    good = service.headers["Authorization"].removeprefix("Bearer ")
    wrong = keys.make(b"another pepper")
    answers = [
        service.http.get("/tokens/balance", headers=service.headers),
        service.http.get("/tokens/balance", headers={"Authorization": f"Bearer {wrong}"}),
        service.http.get(f"/bulk/status/{good}", headers=service.headers),
        service.http.get("/bulk/operations", params={"page_token": good}, headers=service.headers),
        service.http.get("/bulk/operations", params={"kind": good}, headers=service.headers),
        service.http.post("/bulk/import", content=good.encode(), headers=service.headers),
        service.http.post("/api/keys", json={"name": "k", "scopes": [good]}, headers=service.headers),
        service.http.get("/api/keys", headers=service.headers),
    ]
    made = service.http.post("/api/keys", json={"name": "k"}, headers=service.headers).json()["key"]
    lines = logged()
    assert "/tokens/balance" in lines
    for secret in (good, wrong, made, good[15:-4], PEPPER):
        assert secret not in lines
        assert not any(secret in answer.text or secret in str(answer.headers) for answer in answers)


def test_an_unexpected_error_logs_no_secret_and_shows_only_its_request_id(service, logged, monkeypatch):
    password = session.get_engine().url.password
    good = service.headers["Authorization"].removeprefix("Bearer ")

    def broken(*_: object, **__: object) -> None:
        with unit_of_work() as connection:
            connection.execute(text("SELECT 1 / (:hash IS NULL)::int"), {"hash": store.hash_of(good)})

    monkeypatch.setattr(store, "list_keys", broken)
    answer = service.http.get("/api/keys", headers=service.headers)
    assert answer.status_code == 500
    request_id = answer.json()["request_id"]
    assert answer.json()["detail"] == f"Something went wrong on our side. Request id: {request_id}"
    lines = logged()
    assert "division by zero" in lines
    for secret in (good, PEPPER, password, store.hash_of(good).hex(), repr(store.hash_of(good))):
        assert secret is None or secret not in lines
        assert secret is None or secret not in answer.text


def test_nothing_that_holds_a_secret_shows_it_in_its_repr(monkeypatch, database, owner):
    monkeypatch.setenv("API_KEY_PEPPER", PEPPER)
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:database-password@127.0.0.1:1/x")
    monkeypatch.setenv("REDIS_URL", "redis://:redis-password@127.0.0.1:1/0")
    shown = repr(Settings()) + str(Settings())
    assert PEPPER not in shown
    assert "database-password" not in shown
    assert "redis-password" not in shown
    get_settings.cache_clear()
    monkeypatch.undo()
    made = store.NewKey(store.KeyInfo(*[None] * 12), "extro_live_secret")
    assert "extro_live_secret" not in repr(made)


def test_no_process_of_the_stack_has_a_secret_in_its_command_line(stack) -> None:
    """Every user of a machine reads the arguments of every process."""
    secrets = [stack.api_key, *(path.read_text().strip() for path in (stack.data_dir / "secrets").iterdir())]
    secrets += [part for url in (stack.database_url, stack.redis_url) if (part := urlsplit(url).password)]
    assert len(secrets) >= 2
    family = {one.pid: one for one in psutil.process_iter(["cmdline"])}
    ours = {pid for pid in stack.all_pids() if pid in family}
    for pid in list(ours):
        ours |= {child.pid for child in family[pid].children(recursive=True)}
    assert len(ours) >= 5
    for pid in ours:
        try:
            command = "\0".join(psutil.Process(pid).cmdline())
        except psutil.NoSuchProcess:  # a health check that is over
            continue
        assert not any(secret and secret in command for secret in secrets), pid
