"""Health, probes and metrics: answered whatever is down."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from backend.api import metrics
from backend.core.settings import get_settings
from backend.db.session import ping
from backend.queue.telemetry import workers_alive

router = APIRouter(tags=["system"])
PATIENCE_SECONDS = 0.8
_probes = ThreadPoolExecutor(4, thread_name_prefix="probe")
_lock = threading.Lock()
_running: dict[str, Future[Any]] = {}
_last: tuple[float, dict[str, Any], int] = (0.0, {}, 200)


class Health(BaseModel):
    """How the service is."""

    status: Literal["healthy", "degraded"]
    service: Literal["bulk-operations"]
    version: str
    celery_workers: Literal["healthy", "unhealthy"]
    worker_count: int
    database: Literal["healthy", "unhealthy"]
    redis: Literal["healthy", "unhealthy"]


class Alive(BaseModel):
    """A probe's answer."""

    status: str


@router.get("/bulk/health", response_model=Health, responses={503: {"model": Health}}, summary="Health")
def get_health() -> JSONResponse:
    """Answers within a second, whatever is down; 503 when PostgreSQL or Redis is."""
    body, status = _health()
    return JSONResponse(body, status)


def _health() -> tuple[dict[str, Any], int]:
    global _last
    at, body, status = _last
    if time.monotonic() - at < get_settings().health_cache_seconds:
        return body, status
    database = _probe("database", ping)
    redis = _probe("redis", workers_alive)
    wait([database, redis], PATIENCE_SECONDS)
    database_well, redis_well = _well(database), _well(redis)
    workers = int(redis.result()) if redis_well else 0
    down = not (database_well and redis_well)
    body = {
        "status": "degraded" if down or not workers else "healthy",
        "service": "bulk-operations",
        "version": version("extrophi-bulk"),
        "celery_workers": "healthy" if workers else "unhealthy",
        "worker_count": workers,
        "database": "healthy" if database_well else "unhealthy",
        "redis": "healthy" if redis_well else "unhealthy",
    }
    status = 503 if down else 200
    _last = time.monotonic(), body, status
    return body, status


def _probe(name: str, call: Any) -> Future[Any]:
    """Start a probe; one that still hangs is waited for again rather than started twice."""
    with _lock:
        running = _running.get(name)
        if running is None or running.done():
            running = _running[name] = _probes.submit(call)
        return running


def _well(probe: Future[Any]) -> bool:
    return probe.done() and probe.exception() is None


@router.get("/health/live", response_model=Alive, summary="Is the process alive")
def is_live() -> dict[str, str]:
    """Always, while it answers."""
    return {"status": "alive"}


@router.get(
    "/health/ready", response_model=Alive, responses={503: {"model": Alive}}, summary="Can it take requests"
)
def is_ready() -> JSONResponse:
    """When PostgreSQL answers: Redis is not needed to accept."""
    database = _probe("database", ping)
    wait([database], PATIENCE_SECONDS)
    well = _well(database)
    return JSONResponse({"status": "ready" if well else "not ready"}, 200 if well else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    summary="Prometheus metrics",
)
def get_metrics() -> Response:
    """Of the whole installation where they come from PostgreSQL and Redis, of this process otherwise."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
