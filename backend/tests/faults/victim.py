"""What a process does that is killed at a failpoint, in an interpreter of its own.

Not a fork of the test's process: threads of libraries (an artifact store's, a test client's) do not survive a
fork, and what waits for them waits for ever. A fork server that has imported everything makes it quick.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PATIENCE_SECONDS = 60
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "main", "fastapi.testclient"])


@dataclass(frozen=True)
class Request:
    """A POST as the victim sends it. ``engine_kind``: the kind of operation that it makes."""

    path: str
    body: Any
    headers: dict[str, str]
    engine_kind: str


def killed_at(failpoint: str, request: Request, more: dict[str, str] | None = None) -> int:
    """Run what passes ``failpoint``, which is on, in another process; how it ended (negative: the signal)."""
    environment = dict(os.environ) | {"FAILPOINT": f"{failpoint}:kill"} | (more or {})
    process = _context.Process(target=_main, args=(environment, failpoint, request))
    process.start()
    process.join(PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"still alive after {PATIENCE_SECONDS} s at {failpoint}")
    assert process.exitcode is not None
    return process.exitcode


def killed_after(seconds: float, call: Callable[..., Any], *arguments: Any) -> tuple[bool, float]:
    """Run ``call`` in another process, which is killed so many seconds after it began.

    Returns:
        Whether it was still at it, and for how many seconds it was.
    """
    began = _context.Event()
    process = _context.Process(target=_call, args=(dict(os.environ), began, call, arguments))
    process.start()
    assert began.wait(PATIENCE_SECONDS)
    at = time.monotonic()
    process.join(seconds)
    lasted = time.monotonic() - at
    process.kill()
    process.join(PATIENCE_SECONDS)
    return process.exitcode == -signal.SIGKILL, lasted


def _call(environment: dict[str, str], began: Any, call: Callable[..., Any], arguments: Any) -> None:
    from backend.core.settings import get_settings

    os.environ.clear()
    os.environ.update(environment)
    get_settings.cache_clear()
    began.set()
    call(*arguments)
    os._exit(0)


def _main(environment: dict[str, str], failpoint: str, request: Request) -> None:
    from backend.core.settings import get_settings

    status = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        get_settings.cache_clear()
        _WORK[failpoint.partition(".")[0]](request)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _send(path: str, body: Any, headers: dict[str, str]) -> Any:
    from fastapi.testclient import TestClient

    from main import app

    answer = TestClient(app).post(
        path, content=json.dumps(body), headers={**headers, "Content-Type": "application/json"}
    )
    assert answer.status_code < 300, answer.text
    return answer.json()


def _submit(request: Request) -> str:
    return str(_send(request.path, request.body, request.headers)["task_id"])


def _run(request: Request) -> None:
    from backend.core.ids import new_id
    from backend.operations import runner
    from backend.operations.attempts import Worker

    _submit(request)
    runner._UNREACHABLE_PAUSE_SECONDS = 0.0
    one = runner.Runner(Worker("worker1@here", new_id()))
    for _ in range(3):  # a lost connection ends one call of it
        one.run()


def _failing(raising: Callable[[str], BaseException]) -> Callable[[Request], None]:
    """The first part that is run raises, once."""

    def run(request: Request) -> None:
        from backend.operations import runner

        whole, failed = runner._DO[request.engine_kind], []

        def once(work: Any) -> Any:
            if not failed:
                failed.append(work.claim.number)
                raise raising(str(work.claim.operation.id))
            return whole(work)

        runner._DO[request.engine_kind] = once
        _run(request)

    def work(request: Request) -> None:
        _headers.update(request.headers)
        run(request)

    return work


_headers: dict[str, str] = {}


def _busy(_: str) -> BaseException:
    from backend.core.errors import Unavailable

    return Unavailable("busy")


def _lost(_: str) -> BaseException:
    import psycopg

    return psycopg.OperationalError("the connection is lost")


def _broken(_: str) -> BaseException:
    return RuntimeError("a bug")


def _interrupted(operation: str) -> BaseException:
    from backend.operations.working import Interrupted

    _cancel_it(operation, _headers)
    return Interrupted()


def _cancel_it(operation: str, headers: dict[str, str]) -> None:
    others = {name: value for name, value in headers.items() if name != "Idempotency-Key"}
    _send(f"/bulk/operations/{operation}/cancel", None, others)


def _cancel(request: Request) -> None:
    _cancel_it(_submit(request), request.headers)


def _task(request: Request) -> None:
    from backend.tasks.bulk_operations import run_operation

    run_operation(_submit(request))


def _sweep(request: Request) -> None:
    from backend.tasks import maintenance

    _submit(request)
    maintenance.sweep()


def _purge(request: Request) -> None:
    from backend.operations import retention

    _run(request)
    retention.purge()


_WORK: dict[str, Callable[[Request], Any]] = {
    "submit": _submit, "publish": _submit, "run": _run, "finish": _run, "export": _run, "artifact": _run,
    "put_off": _failing(_busy), "excuse": _failing(_lost), "give_up": _failing(_broken),
    "interrupted": _failing(_interrupted), "task": _task, "sweep": _sweep, "cancel": _cancel,
    "purge": _purge,
}  # fmt: skip
