"""Round trips of a request: to PostgreSQL and to Redis, for the calls that are made most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from backend.auth import lookup
from backend.tests.performance.wire import Meter
from backend.tests.support.engine import card
from backend.tests.support.service import InProcess, get, send

WARM = 5


class Trips(NamedTuple):
    """Round trips to each server, and statements."""

    postgres: int
    redis: int
    statements: int


Call = Callable[[InProcess, dict[str, Any]], Any]
CALLS: dict[str, Call] = {
    "status": lambda service, known: get(service, f"/bulk/status/{known['operation']}"),
    "status of one that waits": lambda service, known: get(service, f"/bulk/status/{known['waiting']}"),
    "list": lambda service, _: get(service, "/bulk/operations?page_size=10"),
    "balance": lambda service, _: get(service, "/tokens/balance"),
    "ledger": lambda service, _: get(service, "/tokens/ledger"),
    "errors": lambda service, known: get(service, f"/bulk/operations/{known['operation']}/errors"),
    "results": lambda service, known: get(service, f"/bulk/operations/{known['operation']}/results"),
    "import": lambda service, _: send(service, "/bulk/import", {"cards": [card(i) for i in range(50)]}),
    "export": lambda service, _: send(service, "/bulk/export", {"format": "json"}),
    "delete": lambda service, known: send(service, "/bulk/delete", {"card_ids": known["ids"]}),
    "restore": lambda service, known: send(service, "/bulk/restore", {"card_ids": known["ids"]}),
}
# As measured. A status: all in one. Other reading: the owner and BEGIN in one, the query, COMMIT; one look at
# Redis for key and rate. An import: BEGIN, unfinished operations, the operation, COPY of its parts (two), the
# estimate, COMMIT; in Redis rate, cards, and a wake-up for its one part. An export counts first, in a
# transaction of its own, and is audited.
BOUNDS = {
    "status": Trips(1, 1, 1),
    "status of one that waits": Trips(1, 1, 1),
    "list": Trips(4, 1, 4),
    "balance": Trips(3, 1, 3),
    "ledger": Trips(3, 1, 3),
    "errors": Trips(6, 1, 6),
    "results": Trips(7, 1, 7),
    "import": Trips(7, 3, 6),
    "export": Trips(11, 2, 10),
    "delete": Trips(8, 2, 7),
    "restore": Trips(8, 2, 7),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_request_takes_no_more_round_trips_than_it_did(name, service, postgres, redis, monkeypatch):
    monkeypatch.setattr(lookup, "GOOD_SECONDS", 3600.0)  # a busy machine asks for the key again no sooner
    known = _prepare(service)
    call = CALLS[name]
    for _ in range(WARM):
        assert call(service, known).status_code in (200, 202)
    found = _measure(service, postgres, redis, lambda: call(service, known))
    assert all(have <= most for have, most in zip(found, BOUNDS[name], strict=True)), (
        found,
        postgres.read().statements,
    )


def test_a_list_takes_as_many_statements_whatever_is_in_it(service, postgres, redis, monkeypatch):
    monkeypatch.setattr(lookup, "GOOD_SECONDS", 3600.0)
    _prepare(service)
    for _ in range(WARM):
        CALLS["list"](service, {})
    few = _measure(service, postgres, redis, lambda: CALLS["list"](service, {}))
    for _ in range(8):
        CALLS["import"](service, {})
    many = _measure(service, postgres, redis, lambda: CALLS["list"](service, {}))
    assert many == few


def test_a_request_opens_no_connection_of_its_own(service, postgres, redis):
    known = _prepare(service)
    for call in CALLS.values():
        call(service, known)
    before = postgres.connections, redis.connections
    for _ in range(3):
        for call in CALLS.values():
            call(service, known)
    assert (postgres.connections, redis.connections) == before


def _prepare(service: InProcess) -> dict[str, Any]:
    accepted = send(service, "/bulk/import", {"cards": [card(i) for i in range(50)]}).json()["task_id"]
    service.finished(accepted)
    results = get(service, f"/bulk/operations/{accepted}/results").json()["results"]
    waiting = send(service, "/bulk/import", {"cards": [card(i) for i in range(50)]}).json()["task_id"]
    return {
        "operation": accepted,
        "waiting": waiting,
        "ids": [line["card_id"] for line in results],
    }


def _measure(service: InProcess, postgres: Meter, redis: Meter, call: Callable[[], Any]) -> Trips:
    postgres.reset()
    redis.reset()
    call()
    seen = postgres.read()
    return Trips(seen.round_trips, redis.read().round_trips, len(seen.statements))
