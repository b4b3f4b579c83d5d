"""/metrics: each thing that the specification says to monitor, with the right figure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx2
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from backend.api import metrics
from backend.core.settings import get_settings
from backend.db import redis_client
from backend.queue import telemetry
from backend.queue.celery_app import app as celery
from backend.tests.support.service import InProcess, done, get, send
from backend.tests.support.uvicorn import Uvicorn

CARD = {"title": "t", "body": "b", "category": "c", "privacy_level": "BUSINESS"}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    redis_client.forget()
    metrics._scraped._until = 0.0
    yield
    redis_client.forget()


def figures(text: str) -> dict[str, float]:
    """``name{label=value,…}`` -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def scraped(service: InProcess) -> dict[str, float]:
    metrics._scraped._until = 0.0
    answer = service.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return figures(answer.text)


def test_execution_time_error_rate_and_what_waits_are_those_of_the_operations(service):
    done(service, send(service, "/bulk/import", {"cards": [CARD] * 30}))
    service.query("UPDATE operations SET started_at = finished_at - interval '4 seconds' RETURNING id")
    failed = send(service, "/bulk/import", {"cards": [CARD]}).json()["task_id"]
    service.query(
        "UPDATE operations SET state = 'FAILURE', started_at = now(), finished_at = now(), error = 'x'"
        " WHERE id = %s RETURNING id",
        failed,
    )
    for _ in range(2):
        send(service, "/bulk/delete", {"card_ids": ["019a0000-0000-7000-8000-000000ffffff"] * 250})
    found = scraped(service)
    assert found["extrophi_task_seconds{kind=import,quantile=mean}"] == pytest.approx(4)
    assert found["extrophi_task_seconds{kind=import,quantile=0.95}"] == pytest.approx(4)
    assert found["extrophi_task_error_ratio{kind=import}"] == 0.5
    assert found["extrophi_operations{kind=import,state=SUCCESS}"] == 1
    assert found["extrophi_operation_items{kind=import,state=SUCCESS}"] == 30
    assert found["extrophi_operations{kind=delete,state=PENDING}"] == 2
    waiting = service.query("SELECT count(*) FROM operation_parts p JOIN operations o ON o.id = operation_id"
                            " WHERE kind = 'delete' AND p.state = 'PENDING'")  # fmt: skip
    assert found["extrophi_parts_waiting{kind=delete}"] == waiting[0][0] > 2
    assert found["extrophi_database_up{}"] == 1


def test_the_length_of_the_queue_is_the_brokers_wherever_it_is(service, redis_url, monkeypatch):
    broker = f"{redis_url.rpartition('/')[0]}/9"
    queue = celery.conf.task_default_queue
    with Redis.from_url(broker) as client, Redis.from_url(redis_url) as other:
        client.delete(queue)
        client.rpush(queue, *"abc")
        other.rpush(queue, "x")
        try:
            assert scraped(service)["extrophi_queue_length{}"] == 1
            monkeypatch.setenv("CELERY_BROKER_URL", broker)
            get_settings.cache_clear()
            found = scraped(service)
        finally:
            client.delete(queue)
    assert found["extrophi_queue_length{}"] == 3
    assert found["extrophi_redis_up{}"] == 1
    assert found["extrophi_redis_memory_bytes{}"] > 100_000


def test_workers_are_counted_by_their_signs_of_life(service, redis_url):
    with Redis.from_url(redis_url) as client:
        now = time.time()
        client.zadd(telemetry.WORKERS, {"a": now, "b": now - 1, "dead": now - telemetry.ALIVE_SECONDS - 1})
    assert scraped(service)["extrophi_workers{}"] == 2


def test_sessions_are_those_of_the_whole_installation(service, database):
    with psycopg.connect(database, application_name="extrophi worker") as worker:
        worker.execute("SELECT 1")
        with psycopg.connect(database, application_name="psql of somebody"):
            found = scraped(service)
    assert found["extrophi_database_sessions{application=extrophi worker,state=idle in transaction}"] == 1
    assert found["extrophi_database_sessions{application=other,state=idle}"] == 1
    assert "somebody" not in str(found)
    limit = service.query("SELECT current_setting('max_connections')::int")[0][0]
    assert found["extrophi_database_sessions_limit{}"] == limit
    assert found["extrophi_database_connections{state=most}"] == 20


def test_a_redis_that_is_down_is_said_and_the_rest_is_there(service, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    found = scraped(service)
    assert found["extrophi_redis_up{}"] == 0
    assert "extrophi_queue_length{}" not in found
    assert found["extrophi_database_up{}"] == 1


def test_a_request_is_counted_by_its_route_and_never_by_its_path(service):
    name = "extrophi_request_seconds_count{method=GET,route=/bulk/status/{task_id},status=404}"
    before = scraped(service).get(name, 0)
    for number in range(3):
        get(service, f"/bulk/status/unknown-{number}")
    found = scraped(service)
    assert found[name] == before + 3
    assert "unknown-" not in str(found)


def test_several_api_processes_are_added_up(database, redis_url, tmp_path):
    """Each scrape is answered by whichever process takes it, and says the same."""
    counts = tmp_path / "counts"
    counts.mkdir()
    names = ("DATABASE_URL", "REDIS_URL", "DATA_DIR")
    environment = {name: str(getattr(get_settings(), name.lower())) for name in names}
    api = Uvicorn(tmp_path, environment | {"PROMETHEUS_MULTIPROC_DIR": str(counts)}, workers=3)
    name = "extrophi_request_seconds_count{method=GET,route=/bulk/status/{task_id},status=401}"
    try:
        for _ in range(60):  # a new connection each time, so that all processes get some
            answer = httpx2.get(f"{api.url}/bulk/status/x", headers={"Connection": "close"})
            assert answer.status_code == 401
        for _ in range(8):
            text = httpx2.get(f"{api.url}/metrics", headers={"Connection": "close"}).text
            assert figures(text)[name] == 60
            assert figures(text)["extrophi_database_up{}"] == 1
        served = {path.name for path in counts.glob("histogram_*.db")}
        assert len(served) >= 3
        assert json.loads(httpx2.get(f"{api.url}/bulk/health").text)["database"] == "healthy"
    finally:
        api.stop()
