"""Every route and every id-bearing field, with somebody else's id and with an unknown one: the same answer.

A route or an id-bearing field that is not in ``matrix.py`` fails here.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from typing import Any

import psycopg
import pytest

from backend.api.allowed import leaves
from backend.auth import lookup, store
from backend.auth.scopes import DEFAULT, SCOPES
from backend.core.ids import card_id, new_operation_id
from backend.db import redis_client
from backend.operations.downloads import signed_download_url
from backend.tests.security.matrix import OUTSIDE_THE_DOCUMENT, ROUTES, Route, id_fields
from backend.tests.support.service import InProcess, done, send

BY_ID = [key for key, route in ROUTES.items() if route.kind == "by id"]
VARYING = {"x-request-id", "date", "ratelimit", "content-length"}
CARD = {"title": "t", "body": "b", "category": "c", "privacy_level": "BUSINESS", "external_id": "theirs"}


class World:
    """A victim with one of everything, and an attacker with a key for everything but administration."""

    def __init__(self, service: InProcess) -> None:
        self.service, self.http = service, service.http
        self.victim_id = store.create_user("victim")
        self.victim = self.headers("victim")
        self.attacker = self.headers("attacker")
        service.headers = self.victim
        sent = [CARD, CARD | {"external_id": "second"}, CARD | {"title": ""}]
        first = send(service, "/bulk/import", {"cards": sent})
        self.operation = first.json()["task_id"]
        done(service, first)
        operation = uuid.UUID(self.operation)
        self.card, self.deleted_card = str(card_id(operation, 0)), str(card_id(operation, 1))
        done(service, send(service, "/bulk/delete", {"card_ids": [self.deleted_card]}))
        export = send(service, "/bulk/export", {"format": "json"})
        done(service, export)
        self.export = export.json()["task_id"]
        self.key = str(store.create_key(self.victim_id, "victim's").id)
        self.things = {
            "operation": (self.operation, str(new_operation_id())),
            "export": (self.export, str(new_operation_id())),
            "card": (self.card, str(card_id(new_operation_id(), 0))),
            "deleted card": (self.deleted_card, str(card_id(new_operation_id(), 0))),
            "key": (self.key, str(uuid.uuid4())),
            "external id": ("theirs", "nobody's"),
        }

    def headers(self, user: str) -> dict[str, str]:
        key = store.create_key(store.create_user(user), "k", DEFAULT).key
        return {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, headers: dict[str, str], route: Route | None = None) -> Any:
        body = {"json": route.body} if route is not None and route.body else {}
        return self.http.request(method, path, headers=headers, **body)

    def belongings(self) -> list[Any]:
        """Every row of the victim's, apart from when keys were used."""
        columns = {"api_keys": "id, name, key_hash, scopes, limits, expires_at, revoked_at, rotated_to"}
        mine = "user_id = %(id)s"
        tables = ("cards", "card_tombstones", "operations", "extropy_ledger", "idempotency_keys", "api_keys")
        found: list[Any] = []
        with psycopg.connect(self.service.database) as connection:
            for table in tables:
                query = f"SELECT {columns.get(table, '*')} FROM {table} WHERE {mine} ORDER BY 1, 2"
                found.append(connection.execute(query, {"id": self.victim_id}).fetchall())
            for table in ("operation_parts", "operation_item_errors"):
                query = (
                    f"SELECT t.* FROM {table} t JOIN operations o ON o.id = operation_id "
                    f"WHERE {mine} ORDER BY 1, 2"
                )
                found.append(connection.execute(query, {"id": self.victim_id}).fetchall())
            users = "SELECT * FROM users WHERE id = %(id)s"
            found.append(connection.execute(users, {"id": self.victim_id}).fetchall())
        return found


@pytest.fixture
def world(database) -> World:
    lookup.forget()
    redis_client.forget()
    return World(InProcess(database))


def shape(answer: Any) -> tuple[int, Any, dict[str, str]]:
    """An answer without what differs between any two."""
    body = answer.json()
    assert body.pop("request_id")
    return answer.status_code, body, {k: v for k, v in answer.headers.items() if k not in VARYING}


# --- the matrix is whole --------------------------------------------------------------------------------


def test_every_route_and_every_id_bearing_field_is_in_the_matrix_and_no_other(database):
    app = InProcess(database).http.app
    document = app.openapi()
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found == set(ROUTES)
    for (method, path), route in ROUTES.items():
        assert id_fields(document, document["paths"][path][method.lower()]) == route.fields, (method, path)
    every = {(method, route.path) for route in leaves(app.routes) for method in route.methods}
    assert set(ROUTES) <= every
    hidden = {path for _, path in every} - set(document["paths"])
    assert {"/", "/docs", "/docs/{name}", "/openapi.json"} <= hidden
    assert [path for path in hidden if not OUTSIDE_THE_DOCUMENT.fullmatch(path)] == []
    # Beside what is documented, a path answers at most HEAD, which shows less than GET.
    assert {method for method, path in every - set(ROUTES) if path not in hidden} <= {"HEAD"}


# --- ids in paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), BY_ID, ids=[" ".join(one) for one in BY_ID])
def test_another_owners_id_is_answered_exactly_like_an_unknown_one(world, method, path):
    route = ROUTES[method, path]
    theirs, unknown = world.things[route.thing]
    before = world.belongings()
    parameter = path[path.index("{") : path.index("}") + 1]
    answers = [
        shape(world.call(method, path.replace(parameter, one), world.attacker, route))
        for one in (
            theirs,
            unknown,
            theirs.upper(),
            "not-an-id",
            "%00",
            "00000000-0000-0000-0000-000000000000",
        )
    ]
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers), answers
    assert world.belongings() == before
    # The id itself is good: its owner gets something else.
    assert world.call(method, path.replace(parameter, theirs), world.victim, route).status_code != 404


@pytest.mark.parametrize(("method", "path"), BY_ID, ids=[" ".join(one) for one in BY_ID])
def test_the_time_of_an_answer_does_not_tell_whether_the_thing_exists(world, method, path):
    """Loosely: the medians of interleaved requests come together, the more of them there are."""
    route = ROUTES[method, path]
    parameter = path[path.index("{") : path.index("}") + 1]
    urls = [path.replace(parameter, one) for one in world.things[route.thing]]
    taken: list[list[float]] = [[], []]
    for _ in range(8):
        for number in range(40):
            which = number % 2
            started = time.perf_counter()
            world.call(method, urls[which], world.attacker, route)
            taken[which].append(time.perf_counter() - started)
        theirs, unknown = (statistics.median(one) for one in taken)
        if abs(theirs - unknown) < max(0.0005, 0.2 * unknown):
            return
    raise AssertionError(f"another owner's: {theirs:.5f} s, unknown: {unknown:.5f} s")


# --- ids in bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [True, False])
def test_deleting_another_owners_card_fails_like_deleting_an_unknown_one(world, soft):
    compare(world, "/bulk/delete", "card", lambda one: {"card_ids": [one], "soft_delete": soft})


def test_restoring_another_owners_card_fails_like_restoring_an_unknown_one(world):
    compare(world, "/bulk/restore", "deleted card", lambda one: {"card_ids": [one]})


@pytest.mark.parametrize("format", ["json", "csv"])
def test_exporting_another_owners_card_exports_nothing_like_an_unknown_one(world, format):
    compare(world, "/bulk/export", "card", lambda one: {"card_ids": [one], "format": format})


@pytest.mark.parametrize("on_duplicate", ["create", "skip", "update", "fail"])
def test_another_owners_external_id_is_nobodys(world, on_duplicate):
    def body(external_id: str) -> dict[str, Any]:
        return {
            "cards": [CARD | {"title": external_id, "external_id": external_id}],
            "on_duplicate": on_duplicate,
        }

    result = compare(world, "/bulk/import", "external id", body)
    assert result["cards_imported"] == 1


def compare(world: World, path: str, thing: str, body_of: Any) -> dict[str, Any]:
    """What the attacker is told about the victim's thing and about an unknown one; both are the same."""
    before = world.belongings()
    world.service.headers = world.attacker
    told = []
    for one in world.things[thing]:
        status = done(world.service, send(world.service, path, body_of(one)))
        text = json.dumps(status["result"]).replace(one, "ID").replace(status["task_id"], "OPERATION")
        result = json.loads(text)
        for varies in ("duration_seconds", "expires_at", "watermark"):
            result.pop(varies, None)
        told.append((status["status"], result))
    assert told[0] == told[1]
    assert world.belongings() == before
    return told[0][1]


def test_another_owners_idempotency_key_replays_nothing(world):
    world.service.headers = world.victim
    theirs = send(world.service, "/bulk/import", {"cards": [CARD]}, headers={"Idempotency-Key": "k"})
    world.service.headers = world.attacker
    mine = send(world.service, "/bulk/import", {"cards": [CARD]}, headers={"Idempotency-Key": "k"})
    assert mine.status_code == 202
    assert mine.json()["task_id"] != theirs.json()["task_id"]
    assert "idempotency-replayed" not in mine.headers


# --- lists, and what is not by id -----------------------------------------------------------------------


def of_kind(kind: str, *methods: str) -> list[tuple[str, str]]:
    return [key for key, route in ROUTES.items() if route.kind == kind and (not methods or key[0] in methods)]


def test_lists_show_nothing_of_others_also_from_their_page_tokens(world):
    for _, path in of_kind("own", "GET"):
        assert_nothing_of_the_victim(world, world.http.get(path, headers=world.attacker))
        if "page_token" in ROUTES["GET", path].fields:
            theirs = world.http.get(path, params={"page_size": 1}, headers=world.victim).json()
            token = theirs["next_page_token"]
            answer = world.http.get(path, params={"page_token": token}, headers=world.attacker)
            assert answer.status_code == 200, path
            assert_nothing_of_the_victim(world, answer)


def assert_nothing_of_the_victim(world: World, answer: Any) -> None:
    for thing in (world.operation, world.card, world.deleted_card, world.key, str(world.victim_id)):
        assert thing not in answer.text


def test_streaming_another_owners_card_streams_nothing_like_an_unknown_one(world):
    told = []
    for one in world.things["card"]:
        answer = world.http.get("/cards/export", params={"card_ids": one}, headers=world.attacker)
        told.append((answer.status_code, answer.text))
    assert told[0] == told[1]
    assert told[0][0] == 200
    theirs = world.http.get("/cards/export", params={"card_ids": world.card}, headers=world.victim)
    assert world.card in theirs.text


def test_a_signed_address_opens_its_own_file_and_no_other(world):
    _, _, signature = signed_download_url(uuid.UUID(world.export), int(time.time()) + 60).partition("?")
    assert world.http.get(f"/bulk/operations/{world.export}/download?{signature}").status_code == 200
    world.service.headers = world.attacker
    mine = send(world.service, "/bulk/export", {"format": "json"}).json()["task_id"]
    world.service.run()
    for other in (mine, world.operation, str(new_operation_id())):
        answer = world.http.get(f"/bulk/operations/{other}/download?{signature}")
        assert answer.status_code == 403
        assert answer.json()["code"] == "invalid_signature"


def test_what_is_for_admins_is_refused_whatever_it_names(world):
    for method, path in of_kind("admin"):
        for query in (
            {},
            {"user_id": str(world.victim_id)},
            {"user_id": str(uuid.uuid4())},
            {"user_id": "x"},
        ):
            assert world.http.request(method, path, params=query, headers=world.attacker).status_code == 403


def test_what_needs_no_key_shows_nothing_of_anybody(world):
    for method, path in of_kind("public"):
        answer = world.http.request(method, path)
        assert answer.status_code in (200, 503), path
        assert_nothing_of_the_victim(world, answer)


def test_everything_else_needs_a_key(world):
    for method, path in ROUTES.keys() - set(of_kind("public")):
        url = path.replace("{task_id}", world.operation).replace("{key_id}", world.key)
        answer = world.http.request(method, url)
        assert answer.status_code == 401, path
        assert answer.json()["detail"] == "Invalid or missing API key"


# --- what a key may do ----------------------------------------------------------------------------------


def with_scopes(world: World, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {store.create_key(world.victim_id, 'narrow', scopes).key}"}


def test_each_route_asks_for_exactly_one_scope_and_takes_no_other_for_it(world):
    """Of the owner's own things; admin alone opens nothing but what is for admins."""
    narrow = {scope: with_scopes(world, scope) for scope in sorted(SCOPES)}
    for method, path in ROUTES.keys() - set(of_kind("public")):
        url = path.replace("{task_id}", str(new_operation_id())).replace("{key_id}", str(uuid.uuid4()))
        answers = {scope: world.http.request(method, url, headers=key) for scope, key in narrow.items()}
        taken = {scope for scope, answer in answers.items() if answer.status_code != 403}
        assert len(taken) == 1, (method, path, taken)
        assert ("admin" in taken) == (ROUTES[method, path].kind == "admin"), (method, path)
        for scope in answers.keys() - taken:
            assert answers[scope].json()["detail"] == f"This API key lacks the scope {min(taken)}"


def test_a_key_that_only_imports_neither_retries_nor_cancels_what_it_could_not_start(world):
    narrow = with_scopes(world, "bulk:import")
    world.service.headers = world.victim
    deletion = send(world.service, "/bulk/delete", {"card_ids": ["x"]}).json()["task_id"]
    for task, scope in ((deletion, "bulk:delete"), (world.export, "bulk:export")):
        for verb in ("cancel", "retry"):
            answer = world.http.post(f"/bulk/operations/{task}/{verb}", headers=narrow)
            assert answer.status_code == 403, (verb, scope)
            assert scope in answer.json()["detail"]
    assert world.http.post(f"/bulk/operations/{world.operation}/retry", headers=narrow).status_code == 202
