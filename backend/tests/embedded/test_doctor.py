"""``extrophi doctor``: says what is wrong and how to mend it."""

from __future__ import annotations

import psycopg
import pytest

from backend.cli import doctor
from backend.core.settings import Settings, get_settings


def by_name(monkeypatch) -> dict[str, doctor.Finding]:
    monkeypatch.setattr(doctor, "adopt_running_stack", lambda: None)
    return {finding.check: finding for finding in doctor.findings()}


def test_a_migrated_database_is_fine(database, monkeypatch):
    found = by_name(monkeypatch)
    assert found["postgresql"].state == "ok"
    assert found["migrations"].state == "ok"
    assert found["redis"].state == "ok"
    assert found["packages"].state == "ok"


def test_missing_migrations_are_named_with_the_command_that_mends_them(database, monkeypatch):
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM alembic_version")
    finding = by_name(monkeypatch)["migrations"]
    assert finding.state == "wrong"
    assert finding.mend == "run extrophi migrate"


def test_no_worker_is_wrong_and_says_how_to_start_one(database, monkeypatch):
    finding = by_name(monkeypatch)["workers"]
    assert finding.state == "wrong"
    assert "celery -A backend.queue.celery_app worker" in finding.mend


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("DATABASE_URL", "postgresql://127.0.0.1:1/none", "postgresql"),
        ("DATABASE_URL", "mysql://127.0.0.1/none", "postgresql"),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "redis"),
    ],
)
def test_a_server_that_does_not_answer_is_wrong(database, monkeypatch, variable, value, check):
    monkeypatch.setenv(variable, value)
    get_settings.cache_clear()
    finding = by_name(monkeypatch)[check]
    assert finding.state == "wrong"
    assert finding.mend


@pytest.mark.parametrize(("environment", "state"), [("production", "wrong"), ("development", "warning")])
def test_the_default_pepper_is_refused_in_production(database, monkeypatch, environment, state):
    monkeypatch.delenv("API_KEY_PEPPER", raising=False)
    monkeypatch.setenv("ENVIRONMENT", environment)
    get_settings.cache_clear()
    finding = by_name(monkeypatch)["api key pepper"]
    assert finding.state == state
    assert "API_KEY_PEPPER" in finding.mend


def test_every_setting_is_listed_with_a_description_and_secrets_are_hidden(monkeypatch):
    monkeypatch.setenv("API_KEY_PEPPER", "very secret")
    get_settings.cache_clear()
    rows = doctor.settings_table()
    get_settings.cache_clear()
    assert [row["name"] for row in rows] == [name.upper() for name in Settings.model_fields]
    assert all(row["description"] for row in rows)
    assert "very secret" not in str(rows)
