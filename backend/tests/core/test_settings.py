"""Settings: from the environment alone, refused when they make no sense, secrets never shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from backend.core.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def read_anew():
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_documented_variables_are_read(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@h:5433/d")
    monkeypatch.setenv("REDIS_URL", "redis://r:6380/1")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://r:6380/2")
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    settings = get_settings()
    assert settings.libpq_url == "postgresql://u:p@h:5433/d"
    assert settings.sqlalchemy_url == "postgresql+psycopg://u:p@h:5433/d"
    assert settings.broker_url == "redis://r:6380/1"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://b:6381/3")
    get_settings.cache_clear()
    assert get_settings().broker_url == "redis://b:6381/3"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_each_usual_spelling_of_a_database_address_is_understood(scheme):
    settings = Settings(database_url=f"{scheme}://u@h/d")
    assert settings.sqlalchemy_url == "postgresql+psycopg://u@h/d"


def test_another_kind_of_database_is_refused():
    with pytest.raises(ValueError, match="DATABASE_URL must start with postgresql://"):
        _ = Settings(database_url="mysql://h/d").sqlalchemy_url


@pytest.mark.parametrize(
    ("name", "value"),
    [("DB_POOL_SIZE", "0"), ("PART_MAX_ITEMS", "many"), ("ENVIRONMENT", "test"), ("EXPORT_STREAMS", "99")],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        get_settings()


def test_no_password_is_shown(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hidden-word@h/d")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden-word@h/0")
    monkeypatch.setenv("API_KEY_PEPPER", "hidden-word")
    assert "hidden-word" not in repr(get_settings())
