"""Large bodies are taken apart a few at a time, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import threading

from anyio import CapacityLimiter

from backend.api.submissions import LARGE_AT_ONCE, LARGE_BYTES, stage


def test_large_bodies_wait_for_each_other_and_small_ones_for_none():
    begun: list[int] = []
    go_on = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        assert go_on.wait(20)
        return number

    async def main() -> list[int]:
        limiter = CapacityLimiter(LARGE_AT_ONCE)
        large = [
            asyncio.create_task(stage(limiter, LARGE_BYTES + 1, work, n)) for n in range(LARGE_AT_ONCE + 2)
        ]
        while len(begun) < LARGE_AT_ONCE:
            await asyncio.sleep(0.01)
        assert await stage(limiter, LARGE_BYTES, lambda: "small") == "small"
        await asyncio.sleep(0.1)
        assert len(begun) == LARGE_AT_ONCE
        go_on.set()
        return list(await asyncio.gather(*large))

    assert asyncio.run(main()) == list(range(LARGE_AT_ONCE + 2))
    assert sorted(begun) == list(range(LARGE_AT_ONCE + 2))
