"""A crowd of callers in a process of its own: many connections, each as little of a client as possible.

``python -m benchmarks.crowd`` reads a ``Plan`` as JSON from its standard input and writes what it saw as
JSON to its standard output. Its processor time is taken from the same machine that it loads.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

_WAIT_SECONDS = 20
_FINAL = ("SUCCESS", "FAILURE")
_PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Plan:
    """What the crowd does.

    Attributes:
        keys: an API key per owner; each owner posts ``imports`` bodies at once, ``rounds`` times.
        body: the request body of each import.
        pollers: connections that ask for statuses meanwhile, every second one with ``?wait=``.
        again_seconds: how long the others pause between an answer and their next call.
    """

    base_url: str
    keys: list[str]
    imports: int
    body: str
    rounds: int
    pollers: int = 0
    again_seconds: float = 5.0


@dataclass(slots=True)
class Seen:
    """What the crowd saw. Times of calls in milliseconds.

    Attributes:
        rounds: seconds of each round, from its first POST until the last operation was known to be over.
        told: per waiting answer that said it is over: the operation and the Unix time of the answer.
        errors: every answer that was not the expected one, in words.
    """

    posts: list[float] = field(default_factory=list)
    statuses: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    told: list[tuple[str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    connections: int = 0


class Connection:
    """One kept connection of HTTP/1.1 under one key."""

    def __init__(self, base_url: str, key: str, seen: Seen) -> None:
        place = urlsplit(base_url)
        self._host, self._port = place.hostname or "", place.port or 80
        self._head = f"Host: {place.netloc}\r\nAuthorization: Bearer {key}\r\n"
        self._seen = seen
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: str, path: str, wanted: int, body: bytes = b""
    ) -> tuple[dict[str, Any], float]:
        """The answer and the milliseconds it took; an empty one where it was an error, which is kept."""
        await self.open()
        began = time.perf_counter()
        try:
            status, answer = await asyncio.wait_for(self._exchange(method, path, body), _PATIENCE_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._streams = None
            self._seen.errors.append(f"{method} {path.split('?')[0]}: {type(error).__name__}")
            return {}, (time.perf_counter() - began) * 1000
        milliseconds = (time.perf_counter() - began) * 1000
        if status != wanted:
            self._seen.errors.append(f"{method} {path.split('?')[0]}: {status} {answer[:200]!r}")
            return {}, milliseconds
        return json.loads(answer), milliseconds

    async def open(self) -> None:
        """Connect, where it is not yet: not part of a call's time."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            self._seen.connections += 1

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        assert self._streams is not None
        reader, writer = self._streams
        sent = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{sent}\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next(int(line[15:]) for line in head if line[:15].lower() == "content-length:")
        return int(head[0].split()[1]), await reader.readexactly(length)


class Crowd:
    """All connections of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = Seen()
        self._newest: dict[str, list[str]] = {key: [] for key in plan.keys}
        self._posted = asyncio.Event()
        self._over = False

    async def run(self) -> Seen:
        """Every round, with the pollers about from before the first until after the last."""
        plan = self.plan
        posting = [(key, self._connect(key)) for key in plan.keys for _ in range(plan.imports)]
        polling = [plan.keys[number % len(plan.keys)] for number in range(plan.pollers)]
        pollers = [(number, key, self._connect(key)) for number, key in enumerate(polling)]
        for _, connection in posting:
            await connection.open()
        for _, _, connection in pollers:
            await connection.open()
        tasks = [
            asyncio.create_task(
                self._wait(key, connection) if number % 2 else self._poll(key, connection, number)
            )
            for number, key, connection in pollers
        ]
        for _ in range(plan.rounds):
            began = time.perf_counter()
            await asyncio.gather(*(self._import(key, connection) for key, connection in posting))
            self.seen.rounds.append(time.perf_counter() - began)
        self._over = True
        self._posted.set()
        await asyncio.gather(*tasks)
        return self.seen

    def _connect(self, key: str) -> Connection:
        return Connection(self.plan.base_url, key, self.seen)

    async def _import(self, key: str, connection: Connection) -> None:
        """POST, then wait for the end."""
        answer, milliseconds = await connection.call("POST", "/bulk/import", 202, self.plan.body.encode())
        if not answer:
            return
        self.seen.posts.append(milliseconds)
        operation = answer["task_id"]
        self.seen.operations.append(operation)
        self._newest[key].append(operation)
        posted, self._posted = self._posted, asyncio.Event()
        posted.set()
        while answer and answer.get("status") not in _FINAL:
            answer, _ = await connection.call("GET", f"/bulk/status/{operation}?wait={_WAIT_SECONDS}", 200)
        if answer.get("status") == "FAILURE":
            self.seen.errors.append(f"operation failed: {answer.get('error')}")

    async def _poll(self, key: str, connection: Connection, number: int) -> None:
        """Ask for one of the owner's newest operations again and again, whether it is over or not."""
        await asyncio.sleep(number / self.plan.pollers * self.plan.again_seconds)
        while True:
            newest = self._newest[key][-self.plan.imports :]
            if newest:
                path = f"/bulk/status/{newest[number % len(newest)]}"
                answer, milliseconds = await connection.call("GET", path, 200)
                if answer:
                    self.seen.statuses.append(milliseconds)
            elif not self._over:
                await self._posted.wait()
                continue
            if self._over:
                return
            await asyncio.sleep(self.plan.again_seconds)

    async def _wait(self, key: str, connection: Connection) -> None:
        """Wait for the end of the owner's newest operation; when it is over, for the next one."""
        known = 0
        while not self._over:
            posted = self._posted
            if known == len(self._newest[key]):
                await posted.wait()
                continue
            known = len(self._newest[key])
            operation = self._newest[key][-1]
            answer: dict[str, Any] = {"status": "PENDING"}
            while answer and answer["status"] not in _FINAL:
                answer, _ = await connection.call(
                    "GET", f"/bulk/status/{operation}?wait={_WAIT_SECONDS}", 200
                )
            if answer:
                self.seen.told.append((operation, time.time()))


def main() -> None:
    """Standard input to standard output."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(Crowd(plan).run())), sys.stdout)


if __name__ == "__main__":
    main()
