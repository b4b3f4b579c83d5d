"""What passes between the calls (which know the API and do no I/O) and the two shells (which do only I/O).

A call is a generator, a ``Flow``: it yields what it wants done (``Send``, ``Sleep``, …), gets the outcome
back, and returns its result. The synchronous and the asynchronous client run the very same flows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from backend.client.bodies import Body

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    ``path`` is relative to the server's URL, or an absolute URL (a signed one, elsewhere); ``authorize`` says
    whether the API key goes with it; ``read_timeout`` is in seconds, the client's own when None.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    read_timeout: float | None = None
    authorize: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Header names are lower case; ``body`` is empty for an opened stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer, or no more of it: the connection was refused, cut or too slow."""

    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and read the whole answer. Outcome: ``Response | Lost``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and leave its answer open; an earlier one is closed. Outcome: ``Response | Lost``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read on from the open answer, bytes as they came. Outcome: ``bytes`` (empty at the end) or ``Lost``."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the open answer."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """Do something that blocks (files); beside the event loop in the asynchronous client."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class AskPolicy:
    """Outcome: the client's ``RetryPolicy``."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hand one value to whoever iterates."""

    value: T


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Run | AskPolicy
Flow: TypeAlias = Generator[Effect, Any, T]
StreamFlow: TypeAlias = Generator[Effect | Emit[T], Any, None]
