"""Sending until there is an answer: bounded retries with jittered exponential backoff.

Retried: connections that were refused or cut, 429 and 503 (after ``Retry-After`` where given), 502, 504, and
409 with ``Retry-After`` (an equal request with the same Idempotency-Key is still running). All of it is safe,
because every POST carries an Idempotency-Key that stays the same over its retries.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from backend.client.errors import ApiError, ConnectionFailed, from_answer
from backend.client.wire import AskPolicy, Close, Flow, Lost, Open, Read, Request, Response, Send, Sleep

_AGAIN = frozenset({429, 502, 503, 504})
_ERROR_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try again.

    Args:
        attempts: tries in all; 1 means never again.
        first_seconds: the longest first pause; the bound doubles with each attempt.
        most_seconds: the longest pause of our own choosing.
        longest_retry_after: a server that asks for a longer pause than this is not waited for.
    """

    attempts: int = 6
    first_seconds: float = 0.25
    most_seconds: float = 8.0
    longest_retry_after: float = 90.0

    def pause(self, attempt: int, asked: float | None = None) -> float | None:
        """Seconds to wait after the given attempt (1-based) failed; None: give up.

        ``asked`` is the server's ``Retry-After``. Half of the pause is random, so that many clients
        that were cut off together do not come back together.
        """
        if attempt >= self.attempts or (asked is not None and asked > self.longest_retry_after):
            return None
        bound = min(self.most_seconds, self.first_seconds * 2.0 ** (attempt - 1))
        jittered = bound * (0.5 + random.random() / 2)  # noqa: S311 - not a secret
        return jittered if asked is None else asked + jittered / 2


def send(request: Request) -> Flow[Response]:
    """Send it until it is answered with a success.

    Raises:
        ConnectionFailed: no answer after the last try.
        ApiError: the API refused, or was still unable after the last try.
    """
    return (yield from _answered(request, streamed=False))


def opened(request: Request) -> Flow[Response]:
    """The same for an answer that is then read with ``Read``."""
    return (yield from _answered(request, streamed=True))


def _answered(request: Request, *, streamed: bool) -> Flow[Response]:
    policy: RetryPolicy = yield AskPolicy()
    attempt = 0
    while True:
        attempt += 1
        outcome: Response | Lost = yield (Open(request) if streamed else Send(request))
        if isinstance(outcome, Response) and outcome.status < 400:
            return outcome
        failure: ApiError | ConnectionFailed
        if isinstance(outcome, Lost):
            failure = ConnectionFailed(outcome.reason)
            pause = policy.pause(attempt)
        else:
            if streamed:
                outcome = yield from _with_body(outcome)
            failure = from_answer(outcome.status, outcome.headers, outcome.body)
            pause = policy.pause(attempt, failure.retry_after) if _is_worth_another_try(failure) else None
        if pause is None:
            raise failure
        yield Sleep(pause)


def _is_worth_another_try(error: ApiError) -> bool:
    return error.status in _AGAIN or (error.status == 409 and error.retry_after is not None)


def _with_body(opened_answer: Response) -> Flow[Response]:
    """An opened answer with the start of its body, closed."""
    body = b""
    while len(body) < _ERROR_BODY_BYTES:
        chunk: bytes | Lost = yield Read()
        if isinstance(chunk, Lost) or not chunk:
            break
        body += chunk
    yield Close()
    return replace(opened_answer, body=body)
