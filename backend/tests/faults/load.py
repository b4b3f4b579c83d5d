"""Imports, exports, deletes and restores over HTTP, as an honest client sends them.

Each POST has an Idempotency-Key and is sent again until it is answered, so whatever was accepted was accepted
once; ``accepted`` remembers it, with what must become of it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson

from backend.core.ids import card_id

FINAL = {"SUCCESS", "FAILURE"}
PUBLISHED = ("BUSINESS", "IDEAS")
LEVELS = ("BUSINESS", "PRIVATE", "IDEAS", "THOUGHTS", "BUSINESS")
_BODY = "The key to building momentum is to start before you feel ready, and to write down why. " * 4


@dataclass
class Sent:
    """An accepted operation and what must become of it."""

    task_id: str
    kind: str
    key: str
    items: int
    good: int = 0
    published: int = 0
    accepted_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """An answer that is neither an acceptance nor a reason to try again."""


class Client:
    """One owner's client. Safe for several threads, each call has a connection of its own pool."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )
        self.key = key
        self.accepted: list[Sent] = []
        self.retried = 0
        self.latencies: list[float] = []
        self.statuses: list[int] = []

    def post(self, path: str, body: bytes, *, patience_seconds: float = 120) -> dict[str, Any]:
        """Send until it is accepted.

        Raises:
            Refused: with the answer that is not a 202, 429 or 503; or when the patience is over.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        end = time.monotonic() + patience_seconds
        last: object = None
        while time.monotonic() < end:
            try:
                answer = self._http.post(path, content=body, headers=headers)
            except httpx2.HTTPError as error:
                last = error
            else:
                if answer.status_code == 202:
                    return answer.json()
                if answer.status_code not in (429, 503):
                    raise Refused(f"{path}: {answer.status_code} {answer.text[:500]}")
                last = answer.status_code
            self.retried += 1
            time.sleep(0.2)
        raise Refused(f"{path}: not accepted in {patience_seconds} s, at last {last!r}")

    def once(self, path: str, body: bytes) -> httpx2.Response:
        """Send once; the time and the status are remembered."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        began = time.monotonic()
        answer = self._http.post(path, content=body, headers=headers)
        self.latencies.append(time.monotonic() - began)
        self.statuses.append(answer.status_code)
        return answer

    def get(self, path: str) -> httpx2.Response:
        return self._http.get(path)

    def move(self, url: str) -> None:
        """The API is somewhere else now."""
        self._http.base_url = url  # type: ignore[assignment]

    def accepted_task(self, answer: httpx2.Response, cards: int) -> Sent:
        """Remember what ``once`` has sent."""
        return self._took(Sent(answer.json()["task_id"], "import", self.key, cards, cards))

    def import_cards(self, count: int, bad: int = 0) -> Sent:
        """``count`` cards, the last ``bad`` of which lack a title."""
        body, published = cards_body(count, bad)
        answer = self.post("/bulk/import", body)
        return self._took(Sent(answer["task_id"], "import", self.key, count, count - bad, published))

    def import_file(self, count: int) -> Sent:
        """``count`` good cards, one a line, none published, in one file."""
        lines = (
            b'{"title":"Card %d","body":"%b","category":"NOTES","privacy_level":"PRIVATE"}\n'
            % (index, _BODY.encode())
            for index in range(count)
        )
        head = {"Content-Type": "application/x-ndjson", "Idempotency-Key": uuid.uuid4().hex}
        answer = self._http.post("/bulk/import", content=lines, headers=head, timeout=600)
        assert answer.status_code == 202, answer.text
        return self.accepted_task(answer, count)

    def export(self, format: str = "json") -> Sent:
        answer = self.post("/bulk/export", orjson.dumps({"format": format}))
        return self._took(Sent(answer["task_id"], "export", self.key, 0))

    def delete(self, made: Sent, first: int, count: int, *, soft: bool = True) -> Sent:
        """Delete cards ``first`` to ``first + count`` of an import."""
        body = orjson.dumps({"card_ids": ids(made, first, count), "soft_delete": soft})
        answer = self.post("/bulk/delete", body)
        return self._took(Sent(answer["task_id"], "delete", self.key, count))

    def restore(self, made: Sent, first: int, count: int) -> Sent:
        answer = self.post("/bulk/restore", orjson.dumps({"card_ids": ids(made, first, count)}))
        return self._took(Sent(answer["task_id"], "restore", self.key, count))

    def _took(self, sent: Sent) -> Sent:
        self.accepted.append(sent)
        return sent

    def status(self, sent: Sent) -> dict[str, Any] | None:
        """The status answer; ``None`` when nobody could give one just now."""
        try:
            answer = self._http.get(f"/bulk/status/{sent.task_id}")
        except httpx2.HTTPError:
            return None
        if answer.status_code in (429, 503):
            return None
        assert answer.status_code == 200, f"{sent} is lost: {answer.status_code} {answer.text[:300]}"
        sent.answer = answer.json()
        if sent.answer["status"] in FINAL and sent.ended_at is None:
            sent.ended_at = time.monotonic()
        return sent.answer

    def wait(self, sent: Sent, seconds: float = 120) -> dict[str, Any]:
        """The final answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.status(sent)
            if answer is not None and answer["status"] in FINAL:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"not final after {seconds} s: {sent}")

    def wait_all(self, seconds: float = 120) -> None:
        """Wait until all that was accepted is final."""
        end = time.monotonic() + seconds
        for sent in self.accepted:
            self.wait(sent, max(1.0, end - time.monotonic()))

    def check_download(self, sent: Sent) -> None:
        """The file of an export that succeeded is whole: size, checksum and number of cards are as said."""
        result = sent.answer["result"]
        answer = self._http.get(result["download_url"])
        assert answer.status_code == 200, answer.text[:300]
        content = answer.content
        assert len(content) == result["file_size_bytes"], sent
        assert hashlib.sha256(content).hexdigest() == result["sha256"], sent
        cards = json.loads(content)
        assert len(cards) == result["cards_exported"], sent
        assert len({card["id"] for card in cards}) == len(cards), sent

    def close(self) -> None:
        self._http.close()


def ids(made: Sent, first: int, count: int) -> list[str]:
    """Ids of the cards of an import."""
    operation = uuid.UUID(made.task_id)
    return [str(card_id(operation, index)) for index in range(first, first + count)]


_bodies: dict[tuple[int, int], tuple[bytes, int]] = {}
_lock = threading.Lock()


def cards_body(count: int, bad: int = 0) -> tuple[bytes, int]:
    """A request of ``count`` cards about 500 bytes each, and how many of them are published."""
    with _lock:
        if (count, bad) not in _bodies:
            levels = itertools.cycle(LEVELS)
            cards = []
            for index, level in zip(range(count), levels, strict=False):
                good = index < count - bad
                cards.append(
                    {
                        "title": f"Card {index}" if good else "",
                        "body": _BODY,
                        "category": "NOTES",
                        "privacy_level": level,
                        "tags": ["one", "two"],
                        "metadata": {"index": index},
                    }
                )
            published = sum(card["privacy_level"] in PUBLISHED for card in cards[: count - bad])
            _bodies[count, bad] = (orjson.dumps({"cards": cards}), published)
        return _bodies[count, bad]
