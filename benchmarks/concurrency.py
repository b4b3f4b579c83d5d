"""Many at once: 50 owners, or 50 imports of one owner, alone and with 1,000 pollers of statuses beside them.

The load comes from a process of its own (``benchmarks.crowd``). Sessions of PostgreSQL and clients of Redis
are counted meanwhile: they are bounded however many call.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
from redis import Redis

from backend.core.settings import get_settings
from benchmarks import servers
from benchmarks.crowd import Plan
from benchmarks.figures import Figure, Result, WrongCount, percentile
from benchmarks.options import Options
from benchmarks.rows import Cards
from benchmarks.servers import RunningStack

CARDS = 100  # of one import
AT_ONCE = 50
POLLERS = 1_000
CHILDREN = 2
PATIENCE_SECONDS = 600
PROBES = 1  # health and metrics have a session of their own
# Each of the API's 40 threads may hold one for rates, its 10 publishing connections two each, and there are
# probes; a Celery parent holds 7, beat 2.
REDIS_CLIENTS = 40 + 20 + 4 + 10 + 4
_SAMPLE_SECONDS = 0.2
_SESSIONS = """
    SELECT application_name, count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name LIKE 'extrophi%%' GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """So many owners, each with so many imports at once, and so many pollers."""

    name: str
    owners: int
    imports: int
    pollers: int = 0
    again_seconds: float = 5.0  # as often as the documented client


def scenes(at_once: int, pollers: int) -> tuple[Scene, ...]:
    """Those of the report. The last one asks for more than one API process can answer on a core."""
    return (
        Scene(f"{at_once} owners", at_once, 1),
        Scene(f"1 owner, {at_once} imports", 1, at_once),
        Scene(f"{at_once} owners, {pollers:,} pollers", at_once, 1, pollers),
        Scene(f"1 owner, {at_once} imports, {pollers:,} pollers", 1, at_once, pollers),
        Scene(f"{at_once} owners, {pollers:,} pollers every second", at_once, 1, pollers, 1.0),
    )


def run(options: Options) -> Iterator[Result]:
    """Every scene on one running stack."""
    with servers.stack(children=CHILDREN) as stack:
        for scene in scenes(AT_ONCE, POLLERS):
            yield from play(stack, scene, options)


def play(stack: RunningStack, scene: Scene, options: Options) -> Iterator[Figure]:
    """One scene, as often as there are rounds.

    Raises:
        WrongCount: cards are missing, or the crowd did not end.
    """
    users = [stack.new_user() for _ in range(scene.owners)]
    body = Cards(CARDS, options.seed).body().decode()
    plan = Plan(stack.base_url, [key for _, key in users], scene.imports, body, options.rounds, scene.pollers)
    with sessions(stack) as most:
        seen = _crowd(plan)
    made = _check(stack, scene, [owner for owner, _ in users], options)
    yield from _figures(scene, seen, made / options.rounds)
    yield from _told(stack, scene, seen)
    yield from _connections(scene, most)


def _crowd(plan: Plan) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.crowd"]
    done = subprocess.run(
        command,
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        raise WrongCount(f"the crowd failed: {done.stderr[-500:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _check(stack: RunningStack, scene: Scene, owners: list[UUID], options: Options) -> int:
    wanted = scene.owners * scene.imports * CARDS * options.rounds
    found = int(stack.value("SELECT count(*) FROM cards WHERE user_id = ANY(%s)", owners))
    if found != wanted:
        raise WrongCount(f"{scene.name}: {found} cards instead of {wanted}")
    return found


def _figures(scene: Scene, seen: dict[str, Any], cards: float) -> Iterator[Figure]:
    def figure(what: str, value: float, unit: str, **more: Any) -> Figure:
        return Figure("concurrency", f"{scene.name}: {what}", value, unit, **more)

    seconds = median(seen["rounds"])
    yield figure(
        "errors", len(seen["errors"]), "errors", at_most=0, stretch=0, details={"errors": seen["errors"][:20]}
    )
    yield figure(
        "all imports over", seconds, "s", note=f"{cards:,.0f} cards, {cards / seconds:,.0f} cards a second"
    )
    yield from _percentiles(scene, "POST", seen["posts"])
    if scene.pollers:
        yield from _percentiles(scene, "status", seen["statuses"])


def _percentiles(scene: Scene, what: str, milliseconds: list[float], note: str = "") -> Iterator[Figure]:
    for share in (0.50, 0.95, 0.99):
        last = share == 0.99
        yield Figure(
            "concurrency",
            f"{scene.name}: {what}, p{round(share * 100)}",
            percentile(milliseconds, share),
            "ms",
            note=note or f"{len(milliseconds):,} calls" if last else "",
        )


def _told(stack: RunningStack, scene: Scene, seen: dict[str, Any]) -> Iterator[Figure]:
    """How long after the commit that ended an operation the waiting were told; one machine, one clock."""
    if not seen["told"]:
        return
    with stack.connect() as connection:
        ends: dict[str, datetime] = {
            str(key): at
            for key, at in connection.execute(
                "SELECT id, finished_at FROM operations WHERE id = ANY(%s::uuid[])", (seen["operations"],)
            )
        }
    late = [max(0.0, at - ends[operation].timestamp()) * 1000 for operation, at in seen["told"]]
    note = f"from the commit to the answer of ?wait=, {len(late):,} answers"
    yield from _percentiles(scene, "told of the end", late, note)


@contextmanager
def sessions(stack: RunningStack) -> Iterator[Counter[str]]:
    """The most sessions of PostgreSQL by application, and of clients of Redis, while the body runs."""
    most: Counter[str] = Counter()
    over = threading.Event()

    def sample() -> None:
        with stack.connect(autocommit=True) as connection, Redis.from_url(stack.stack.redis_url) as redis:
            while not over.wait(_SAMPLE_SECONDS):
                _note(most, connection, redis)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def _note(most: Counter[str], connection: psycopg.Connection[Any], redis: Redis) -> None:
    now = dict(connection.execute(_SESSIONS.encode()).fetchall())
    now["redis"] = int(redis.info("clients")["connected_clients"]) - 1  # without the one that asks
    for name, count in now.items():
        most[name] = max(most[name], count)


def _connections(scene: Scene, most: Counter[str]) -> Iterator[Figure]:
    settings = get_settings()
    api = settings.db_pool_size + settings.db_pool_overflow
    bounds = {"extrophi api": api + PROBES, "extrophi worker": 3 * CHILDREN}
    for name, at_most in bounds.items():
        yield Figure(
            "concurrency", f"{scene.name}: PostgreSQL, {name.removeprefix('extrophi ')}", most[name],
            "sessions", at_most=at_most,
        )  # fmt: skip
    yield Figure("concurrency", f"{scene.name}: Redis", most["redis"], "clients", at_most=REDIS_CLIENTS)
