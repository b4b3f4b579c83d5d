"""``Prefer: wait=N`` (RFC 7240), which works like ``?wait=N``."""

from __future__ import annotations

from fastapi import Request

LONGEST_WAIT_SECONDS = 60


def wait_seconds(request: Request) -> float:
    """Seconds that the caller prefers to wait, at most a minute; 0 when nothing sensible is said."""
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            number = value.strip().strip('"')
            if number.isascii() and number.isdigit():
                return float(min(int(number[:6]), LONGEST_WAIT_SECONDS))
    return 0.0
