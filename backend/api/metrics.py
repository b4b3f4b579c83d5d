"""``/metrics``: what the specification says to monitor, read when it is scraped.

What operations did is counted in PostgreSQL, so these figures are the whole installation's, however many
processes there are and however often they restart. What this API process did is counted here; with
``PROMETHEUS_MULTIPROC_DIR`` set, the counts of all API processes that share that folder are added up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text

from backend.api import probes
from backend.core.settings import get_settings
from backend.db.redis_client import RedisDown
from backend.db.session import aside, get_engine
from backend.queue import telemetry

REQUEST_SECONDS = Histogram(
    "extrophi_request_seconds",
    "Time to answer a request, by route and status.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
_REUSED_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0  # for PostgreSQL; the scrape answers whatever stands still
_scrapes = ThreadPoolExecutor(2, thread_name_prefix="scrape")  # those of requests may all hang
_HOUR = text(
    """
    SELECT kind, state, count(*) AS operations, coalesce(sum(total_items), 0) AS items,
        coalesce(avg(extract(epoch FROM finished_at - started_at)), 0) AS seconds,
        coalesce(percentile_cont(0.95) WITHIN GROUP (
            ORDER BY extract(epoch FROM finished_at - started_at)), 0) AS slow_seconds
    FROM operations
    WHERE finished_at IS NULL OR finished_at > now() - interval '1 hour'
    GROUP BY kind, state
    """
)
_PARTS = text(
    """
    SELECT o.kind, count(*) AS waiting FROM operations o JOIN operation_parts p ON p.operation_id = o.id
    WHERE o.finished_at IS NULL AND p.state = 'PENDING' GROUP BY o.kind
    """
)
# Programs of others are one line together: their names are not ours to multiply series with.
_SESSIONS = text(
    """
    SELECT CASE WHEN application_name LIKE 'extrophi%' THEN application_name ELSE 'other' END AS application,
        state, count(*) AS sessions
    FROM pg_stat_activity
    WHERE datname = current_database() AND state IS NOT NULL AND pid <> pg_backend_pid()
    GROUP BY 1, 2
    """
)
_MOST_SESSIONS = text("SELECT current_setting('max_connections')::int")


class _Scraped(Collector):
    """Figures that are looked up when they are asked for, at most once in two seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._last: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._last = [*_database(), *_queue(), *_pool()]
                self._until = time.monotonic() + _REUSED_SECONDS
            yield from self._last


def _database() -> list[Metric]:
    up = GaugeMetricFamily("extrophi_database_up", "1 when PostgreSQL answers.")
    asked = probes.ask("metrics", _read)
    wait([asked], _PATIENCE_SECONDS)
    if not asked.done() or asked.exception() is not None:  # whatever it is: the scrape itself must answer
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [*asked.result(), up]


def _read() -> list[Metric]:
    with aside() as connection:
        return [*_operations(connection), *_sessions(connection)]


def _operations(connection: Connection) -> Iterator[Metric]:
    operations = GaugeMetricFamily(
        "extrophi_operations", "Unfinished operations, and those finished in the last hour.",
        labels=["kind", "state"],
    )  # fmt: skip
    items = GaugeMetricFamily("extrophi_operation_items", "Their items.", labels=["kind", "state"])
    seconds = GaugeMetricFamily(
        "extrophi_task_seconds", "Execution time of the last hour's operations.", labels=["kind", "quantile"]
    )
    rate = GaugeMetricFamily(
        "extrophi_task_error_ratio", "Failed among the last hour's operations.", labels=["kind"]
    )
    waiting = GaugeMetricFamily("extrophi_parts_waiting", "Parts that wait or run.", labels=["kind"])
    ended: dict[str, list[int]] = {}
    for row in connection.execute(_HOUR):
        operations.add_metric([row.kind, row.state], row.operations)
        items.add_metric([row.kind, row.state], row.items)
        if row.state == "SUCCESS":
            seconds.add_metric([row.kind, "mean"], float(row.seconds))
            seconds.add_metric([row.kind, "0.95"], float(row.slow_seconds))
        if row.state in ("SUCCESS", "FAILURE"):
            total = ended.setdefault(row.kind, [0, 0])
            total[0] += row.operations
            total[1] += row.operations if row.state == "FAILURE" else 0
    for kind, (all_of_them, failed) in ended.items():
        rate.add_metric([kind], failed / all_of_them)
    for row in connection.execute(_PARTS):
        waiting.add_metric([row.kind], row.waiting)
    return iter((operations, items, seconds, rate, waiting))


def _sessions(connection: Connection) -> Iterator[Metric]:
    sessions = GaugeMetricFamily(
        "extrophi_database_sessions", "Sessions on the database, of all processes.",
        labels=["application", "state"],
    )  # fmt: skip
    for row in connection.execute(_SESSIONS):
        sessions.add_metric([row.application, row.state], row.sessions)
    most = GaugeMetricFamily("extrophi_database_sessions_limit", "Sessions that PostgreSQL allows.")
    most.add_metric([], connection.execute(_MOST_SESSIONS).scalar_one())
    return iter((sessions, most))


def _queue() -> list[Metric]:
    up = GaugeMetricFamily("extrophi_redis_up", "1 when Redis answers.")
    try:
        now = telemetry.queue()
    except RedisDown:
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [
        up,
        GaugeMetricFamily("extrophi_queue_length", "Messages that no worker has taken yet.", now.length),
        GaugeMetricFamily("extrophi_workers", "Workers that gave a sign of life lately.", now.workers),
        GaugeMetricFamily("extrophi_redis_memory_bytes", "Memory that Redis uses.", now.memory_bytes),
    ]


def _pool() -> list[Metric]:
    pool = GaugeMetricFamily(
        "extrophi_database_connections", "Connections of this process's pool.", labels=["state"]
    )
    settings = get_settings()
    engine = get_engine()
    in_use = engine.pool.checkedout()  # type: ignore[attr-defined]
    pool.add_metric(["in_use"], in_use)
    pool.add_metric(["most"], settings.db_pool_size + settings.db_pool_overflow)
    return [pool]


_scraped = _Scraped()


def install() -> None:
    """Register what is looked up; any number of times."""
    if _scraped not in REGISTRY._collector_to_names:
        REGISTRY.register(_scraped)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    if get_settings().prometheus_multiproc_dir is None:
        install()
        return generate_latest(REGISTRY)
    everybodys = CollectorRegistry()
    MultiProcessCollector(everybodys)  # type: ignore[no-untyped-call]
    everybodys.register(_scraped)
    return generate_latest(everybodys)


async def scraped() -> bytes:
    """The same for a request, which waits on none of the threads that other requests work on."""
    return await asyncio.get_running_loop().run_in_executor(_scrapes, exposition)
