"""Rates in Redis: the generic cell rate algorithm (GCRA), several buckets in one round trip, all or none.

A bucket of ``limit`` per ``window`` is one number in Redis, the theoretical arrival time (TAT): when the
bucket would be full again. Spending ``cost`` moves it by ``cost * window / limit``; it may lie at most one
window ahead of now. So a whole limit can be spent at once, and comes back evenly over the window. Redis's own
clock is used: the API's processes need not agree on theirs.

Redis down: nothing is counted, everything passes, within a tenth of a second, and a metric counts it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from backend.core.errors import RateLimited
from backend.db.redis_client import RedisDown, run_script

UNAVAILABLE = Counter(
    "extrophi_rate_limit_unavailable", "Requests and charges that were not counted because Redis was down."
)
REFUSED = Counter("extrophi_rate_limited", "Requests refused with 429, by policy.", ["policy"])

_MICRO = 1_000_000
# KEYS[1]: a mark to look for ('' for none); KEYS[2…]: buckets. ARGV: per bucket its limit, its window in
# microseconds and the cost, which is negative to give back.
_SOURCE = """
if KEYS[1] ~= '' and redis.call('EXISTS', KEYS[1]) == 1 then return {-1} end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answer, ahead = {0}, {}
for i = 2, #KEYS do
    local limit, window = tonumber(ARGV[3 * i - 5]), tonumber(ARGV[3 * i - 4])
    local cost = tonumber(ARGV[3 * i - 3])
    local tat = tonumber(redis.call('GET', KEYS[i]) or now)
    local debt = math.max(0, math.min(tat - now, window))
    local after = math.max(0, debt + cost * window / limit)
    if cost > 0 and after > window then
        return {i - 1, math.ceil(after - window), math.floor((window - debt) * limit / window)}
    end
    ahead[i] = after
    answer[#answer + 1] = math.floor((window - after) * limit / window)
    answer[#answer + 1] = math.ceil(after)
end
for i = 2, #KEYS do
    if ahead[i] > 0 then
        redis.call('SET', KEYS[i], string.format('%.0f', now + ahead[i]), 'PX', math.ceil(ahead[i] / 1000))
    else
        redis.call('DEL', KEYS[i])
    end
end
return answer
"""
_SHA = hashlib.sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one key or owner. ``window`` in seconds; ``policy`` names it to the caller."""

    name: str
    policy: str
    limit: int
    window: int
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a bucket stands after spending: ``remaining`` of ``limit``, whole again in ``reset`` seconds."""

    policy: str
    limit: int
    window: int
    remaining: int
    reset: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of ``spend``.

    counted: False when Redis did not answer: nothing was counted, nothing was looked for.
    marked: the mark was there; nothing was counted.
    """

    standings: tuple[Standing, ...] = ()
    counted: bool = True
    marked: bool = False


def spend(buckets: Sequence[Bucket], *, mark: str = "") -> Spent:
    """Spend each bucket's cost, from all of them or from none.

    Args:
        buckets: may be empty.
        mark: a key of Redis to look for first, in the same round trip.

    Raises:
        RateLimited: when one of them does not have it; says when it will.
    """
    for bucket in buckets:
        if bucket.cost > bucket.limit:
            raise _refusal(bucket, bucket.window)
    arguments = [value for bucket in buckets for value in (bucket.limit, bucket.window * _MICRO, bucket.cost)]
    names = [mark, *(f"extrophi:rate:{bucket.name}" for bucket in buckets)]
    try:
        answer = run_script(_SHA, _SOURCE, names, arguments)
    except RedisDown:
        UNAVAILABLE.inc()
        return Spent(counted=False)
    verdict = int(answer[0])
    if verdict == -1:
        return Spent(marked=True)
    if verdict > 0:
        raise _refusal(buckets[verdict - 1], math.ceil(int(answer[1]) / _MICRO))
    standings = (
        Standing(
            bucket.policy,
            bucket.limit,
            bucket.window,
            remaining=int(answer[2 * number + 1]),
            reset=math.ceil(int(answer[2 * number + 2]) / _MICRO),
        )
        for number, bucket in enumerate(buckets)
    )
    return Spent(tuple(standings))


def _refusal(bucket: Bucket, seconds: int) -> RateLimited:
    REFUSED.labels(bucket.policy).inc()
    unit = {60: "minute", 3600: "hour"}.get(bucket.window, f"{bucket.window} seconds")
    return RateLimited(
        f"Too many {bucket.policy}: at most {bucket.limit} per {unit}",
        retry_after=seconds,
        limit=bucket.limit,
        window=bucket.window,
        policy=bucket.policy,
    )
