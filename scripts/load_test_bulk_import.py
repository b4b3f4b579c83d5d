"""Import cards as fast as the service takes them, and check every count.

``python scripts/load_test_bulk_import.py --cards 10000``
"""

from __future__ import annotations

import argparse
import sys
import time

from load_testing import StatusTimes, check, server

from backend.cli.sample import sample_cards
from backend.client.sync import Client


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=10_000, help="how many; above 10,000 as a file")
    count = parser.parse_args().cards
    if count < 1:
        parser.error("--cards must be at least 1")
    with server() as (url, key), Client(url, key, timeout=600) as client:
        return load(url, key, client, count)


def load(url: str, key: str, client: Client, count: int) -> int:
    """One import of ``count`` cards; the exit status."""
    cards = list(sample_cards(count))
    public = sum(card["privacy_level"] in ("BUSINESS", "IDEAS") for card in cards)
    before = client.balance().balance
    began = time.perf_counter()
    operation = client.import_cards(cards)
    accepted = time.perf_counter()
    times = StatusTimes(url, key, operation.id)
    status = client.wait(operation.id)
    ended = time.perf_counter()
    times.end()
    result = status.result or {}
    print(f"{'accepted after':<24} {accepted - began:.3f} s")
    print(f"{'done after':<24} {ended - began:.3f} s")
    print(f"{'cards/s':<24} {count / (ended - began):,.0f}")
    print(f"{'status call':<24} {times.report()}")
    earned = float(client.balance().balance) - float(before)
    right = [
        check("state", status.state, "SUCCESS"),
        check("cards imported", result.get("cards_imported"), count),
        check("cards failed", result.get("cards_failed"), 0),
        check("cards published", result.get("cards_published"), public),
        check("$EXTROPY earned", result.get("extropy_earned"), f"{public}.00000000"),
        check("balance grew by", earned, float(public)),
        check("progress only grew", times.progress == sorted(times.progress), True),
    ]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
