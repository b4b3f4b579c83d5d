"""Retries: what is sent again, how often, and always as the same request."""

from __future__ import annotations

import time

import pytest

from backend.client import errors
from backend.client.retries import RetryPolicy
from backend.client.sync import Client
from backend.tests.client.conftest import KEY, QUICK
from backend.tests.client.server import accepted, cuts, refuses, resets, says

CARDS = [{"title": "t", "body": "b", "category": "c", "privacy_level": "PRIVATE"}]


@pytest.mark.parametrize("fault", [cuts, resets], ids=["cut", "reset"])
def test_a_cut_connection_is_tried_again_with_the_same_key_and_body(call, server, fault):
    server.then(fault, fault, accepted("t-9"))
    assert call("import_cards", CARDS).id == "t-9"
    assert len(server.seen) == 3
    assert len({(one.headers["idempotency-key"], one.body) for one in server.seen}) == 1


def test_two_calls_have_different_keys(call, server):
    server.then(accepted())
    call("import_cards", CARDS)
    call("import_cards", CARDS)
    assert len({one.headers["idempotency-key"] for one in server.seen}) == 2


def test_a_key_of_the_callers_own_is_used(call, server):
    server.then(accepted(Idempotency_Replayed="true"))
    assert call("import_cards", CARDS, idempotency_key="mine").is_replay
    assert server.seen[0].headers["idempotency-key"] == "mine"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_answers_that_pass_are_tried_again(call, server, status):
    server.then(refuses(status, "later", "Later."), accepted("t-2"))
    assert call("delete", ["a"]).id == "t-2"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422, 500])
def test_answers_that_stay_are_raised_at_once(call, server, status):
    server.then(refuses(status, "no", "No."))
    with pytest.raises(errors.ApiError) as caught:
        call("delete", ["a"])
    assert (caught.value.status, caught.value.code, caught.value.detail) == (status, "no", "No.")
    assert caught.value.request_id == "r-1"
    assert len(server.seen) == 1


def test_an_equal_request_still_running_is_waited_for(call, server):
    server.then(refuses(409, "in_progress", "Still running.", Retry_After="0"), accepted("t-3"))
    assert call("delete", ["a"]).id == "t-3"


def test_retry_after_is_waited_for(call, server):
    server.then(refuses(429, "rate_limited", "Slowly.", Retry_After="1"), accepted())
    began = time.monotonic()
    call("delete", ["a"])
    assert 1.0 <= time.monotonic() - began < 2


def test_a_retry_after_that_is_too_long_is_raised_with_the_time(call, server):
    server.then(refuses(429, "rate_limited", "Quota.", Retry_After="3600"))
    with pytest.raises(errors.RateLimited) as caught:
        call("delete", ["a"])
    assert caught.value.retry_after == 3600
    assert len(server.seen) == 1


def test_retries_end(call, server):
    server.then(cuts)
    with pytest.raises(errors.ConnectionFailed):
        call("status", "t-1")
    assert len(server.seen) == QUICK.attempts


def test_nobody_listening_is_a_failed_connection(unused_tcp_port):
    with (
        Client(f"http://127.0.0.1:{unused_tcp_port}", KEY, retry=QUICK) as client,
        pytest.raises(errors.ConnectionFailed, match="ConnectError"),
    ):
        client.balance()


@pytest.fixture
def unused_tcp_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_another_server_at_that_url_is_said_to_be_one(call, server):
    server.then(lambda handler: handler.answer(200, {"Content-Type": "text/html"}, b"<html>hi</html>"))
    with pytest.raises(errors.UnexpectedAnswer):
        call("balance")


def test_an_error_page_of_a_proxy_is_an_error_of_its_status(call, server):
    server.then(lambda handler: handler.answer(413, {"Content-Type": "text/html"}, b"<html>no</html>"))
    with pytest.raises(errors.PayloadTooLarge) as caught:
        call("balance")
    assert caught.value.code == "http_413"


def test_an_idempotency_mismatch_has_its_own_type(call, server):
    server.then(refuses(422, "idempotency_key_reused", "Used."))
    with pytest.raises(errors.IdempotencyMismatch):
        call("delete", ["a"], idempotency_key="k")


def test_field_problems_come_with_their_pointers(call, server):
    document = {"code": "validation_failed", "detail": "d", "errors": [{"pointer": "/cards", "detail": "x"}]}
    server.then(says(document, 422, Content_Type="application/problem+json"))
    with pytest.raises(errors.ValidationFailed) as caught:
        call("delete", ["a"])
    assert caught.value.errors == (errors.FieldProblem("/cards", "x"),)


def test_pauses_double_up_to_a_bound_and_are_random_in_their_upper_half():
    policy = RetryPolicy(attempts=9, first_seconds=1, most_seconds=8)
    for attempt, bound in [(1, 1), (2, 2), (3, 4), (4, 8), (8, 8)]:
        pauses = {policy.pause(attempt) for _ in range(50)}
        assert all(bound / 2 <= pause <= bound for pause in pauses)
        assert len(pauses) > 10
    assert policy.pause(9) is None


def test_a_retry_after_may_be_a_date():
    from email.utils import formatdate

    seconds = errors.retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)})
    assert 28 < seconds <= 31
    assert errors.retry_after({"retry-after": "soon"}) is None
    assert errors.retry_after({}) is None
