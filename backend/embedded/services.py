"""The processes of the stack that are ours: API, Celery workers, beat."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from backend.core.process import carrying, end_all
from backend.core.settings import get_settings
from backend.embedded.child import Child

MARK = "EXTROPHI_STACK"
CELERY = [sys.executable, "-m", "backend.embedded.celery_process"]


def environment(data_dir: Path, values: Mapping[str, str], workers: int) -> dict[str, str]:
    """What our processes see: our environment, ``values``, and a mark that tells whose they are.

    One of the children of all ``workers`` is kept from every single owner, so that somebody else's small
    import begins at once on a machine of few cores too, unless the environment says otherwise.
    """
    settings = get_settings()
    parts = min(settings.running_parts_per_owner, children_per_worker(workers) * workers - 1)
    shares = {"RUNNING_PARTS_PER_OWNER": str(max(1, parts))}
    return {**shares, **os.environ, **values, "DATA_DIR": str(data_dir), MARK: str(data_dir)}


def end_leftovers(data_dir: Path) -> None:
    """End processes of a former stack on this data folder, should any have outlived its supervisor."""
    left = [pid for pid in carrying(MARK, str(data_dir)) if pid != os.getpid()]
    end_all(left, polite=signal.SIGKILL, grace_seconds=1)


def api(data_dir: Path, variables: Mapping[str, str], descriptor: int) -> Child:
    """uvicorn on the listening socket ``descriptor``."""
    return Child(
        "api",
        lambda: [sys.executable, "-m", "backend.embedded.serve", str(descriptor)],
        environment=variables,
        log=data_dir / "logs" / "api.log",
        folder=_folder(data_dir),
        inherit=(descriptor,),
    )


def worker(data_dir: Path, variables: Mapping[str, str], number: int, of: int) -> Child:
    """One Celery parent with a stable name; ``of`` parents share the machine's cores."""
    options = ["-n", f"worker{number}@%h", "--concurrency", str(children_per_worker(of))]
    options += ["--without-mingle", "--without-gossip"]  # nothing is learnt from neighbours; 1 s quicker
    return Child(
        f"worker{number}",
        lambda: [*CELERY, "worker", *options, "--loglevel", get_settings().log_level],
        environment=variables,
        log=data_dir / "logs" / f"worker{number}.log",
        folder=_folder(data_dir),
    )


def beat(data_dir: Path, variables: Mapping[str, str]) -> Child:
    """Celery's clock. Its schedule file lives in the data folder; it writes no pid file."""
    schedule = str(_folder(data_dir) / "beat-schedule")
    return Child(
        "beat",
        lambda: [*CELERY, "beat", "-s", schedule, "--pidfile=", "--loglevel", get_settings().log_level],
        environment=variables,
        log=data_dir / "logs" / "beat.log",
        folder=_folder(data_dir),
    )


def children_per_worker(workers: int) -> int:
    """``WORKER_CONCURRENCY``, or this machine's cores + 1 shared among the parents, at least 2 each."""
    configured = get_settings().worker_concurrency
    if configured is not None:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, -(-(cores + 1) // max(1, workers)))


def _folder(data_dir: Path) -> Path:
    """Their working directory: ours alone, so that no stray module there shadows an installed one."""
    folder = data_dir / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
