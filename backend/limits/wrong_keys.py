"""Wrong keys: refused without PostgreSQL, Redis or a thread, counted, and reported once a minute per address.

Nobody is locked out: an address can stand for many callers, and refusing costs less than keeping score.
"""

from __future__ import annotations

import logging
import time

from prometheus_client import Counter

REFUSED = Counter("extrophi_keys_refused", "Requests refused with 401, by reason.", ["reason"])
REPORT_SECONDS = 60.0
MOST_ADDRESSES = 10_000

log = logging.getLogger(__name__)
_seen: dict[str, list[float]] = {}  # address -> [when the minute began, wrong keys since]


def note(address: str | None, reason: str) -> None:
    """Count one refusal. ``reason``: missing, malformed or useless."""
    REFUSED.labels(reason).inc()
    now = time.monotonic()
    name = address or "unknown"
    entry = _seen.get(name)
    if entry is not None and now - entry[0] < REPORT_SECONDS:
        entry[1] += 1
        return
    if entry is not None and entry[1] > 1:
        log.warning("%d requests with a wrong API key from %s within a minute", int(entry[1]), name)
    if len(_seen) >= MOST_ADDRESSES:
        _seen.clear()
    _seen[name] = [now, 1]
