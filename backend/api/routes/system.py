"""Health, probes and metrics: answered whatever is down."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from backend.api import metrics, probes
from backend.core.settings import get_settings
from backend.db.session import ping
from backend.queue.telemetry import workers_alive

router = APIRouter(tags=["system"])
PATIENCE_SECONDS = 0.6  # and the rest of the second for everything around the questions
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
async def get_health() -> JSONResponse:
    """Answers within a second, whatever is down; 503 when PostgreSQL or Redis is."""
    body, status = await _health()
    return JSONResponse(body, status)


async def _health() -> tuple[dict[str, Any], int]:
    global _last
    at, body, status = _last
    if time.monotonic() - at < get_settings().health_cache_seconds:
        return body, status
    found = await probes.answers(PATIENCE_SECONDS, database=ping, workers=workers_alive)
    workers = int(found.get("workers", 0))
    down = len(found) < 2
    body = {
        "status": "degraded" if down or not workers else "healthy",
        "service": "bulk-operations",
        "version": version("extrophi-bulk"),
        "celery_workers": "healthy" if workers else "unhealthy",
        "worker_count": workers,
        "database": "healthy" if "database" in found else "unhealthy",
        "redis": "healthy" if "workers" in found else "unhealthy",
    }
    status = 503 if down else 200
    _last = time.monotonic(), body, status
    return body, status


@router.get("/health/live", response_model=Alive, summary="Is the process alive")
async def is_live() -> dict[str, str]:
    """Always, while it answers."""
    return {"status": "alive"}


@router.get(
    "/health/ready", response_model=Alive, responses={503: {"model": Alive}}, summary="Can it take requests"
)
async def is_ready() -> JSONResponse:
    """When PostgreSQL answers: Redis is not needed to accept."""
    well = "database" in await probes.answers(PATIENCE_SECONDS, database=ping)
    return JSONResponse({"status": "ready" if well else "not ready"}, 200 if well else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    summary="Prometheus metrics",
)
async def get_metrics() -> Response:
    """Of the whole installation where they come from PostgreSQL and Redis, else of the API's processes."""
    return Response(await metrics.scraped(), media_type=CONTENT_TYPE_LATEST)
