"""Wrong keys: refused without PostgreSQL, Redis or a thread; counted; and answered without haste when many.

Nobody is locked out: an address can stand for many callers, and a good key from it is served as ever. But who
keeps sending wrong keys gets his answers after a pause, so that a flood is as slow as its number of
connections allows, and the event loop is there for the others.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass

from prometheus_client import Counter

REFUSED = Counter("extrophi_keys_refused", "Requests refused with 401, by reason.", ["reason"])
BURST = 100  # refusals of one address at full speed
PER_SECOND = 20.0  # and those that it gets back
PAUSE_SECONDS = 0.1
REPORT_SECONDS = 60.0
MOST_ADDRESSES = 10_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Address:
    """What one address did: refusals in this minute, and how many more come at full speed."""

    minute_began: float
    count: int
    allowance: float
    at: float


_seen: dict[str, _Address] = {}


def note(address: str | None, reason: str) -> float:
    """Count one refusal; the seconds to wait before it is answered, 0 for all but a flood.

    Args:
        address: where it came from.
        reason: missing, malformed or useless.
    """
    REFUSED.labels(reason).inc()
    now = time.monotonic()
    name = _network(address)
    known = _seen.get(name)
    if known is None:
        if len(_seen) >= MOST_ADDRESSES:
            _seen.clear()
        known = _seen[name] = _Address(now, 0, BURST, now)
    elif now - known.minute_began >= REPORT_SECONDS:
        if known.count > 1:
            log.warning("%d requests with a wrong API key from %s within a minute", known.count, name)
        known.minute_began, known.count = now, 0
    known.count += 1
    known.allowance = min(BURST, known.allowance + (now - known.at) * PER_SECOND)
    known.at = now
    if known.allowance >= 1:
        known.allowance -= 1
        return 0.0
    return PAUSE_SECONDS


def _network(address: str | None) -> str:
    """An IPv4 address, or the /64 that one IPv6 customer has to himself."""
    if address is None or ":" not in address:
        return address or "unknown"
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
