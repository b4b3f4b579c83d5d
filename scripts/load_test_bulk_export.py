"""Export all cards, download the file, and check every count.

``python scripts/load_test_bulk_export.py --format json``
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from load_testing import StatusTimes, check, server

from backend.cli.sample import sample_cards
from backend.client.sync import Client

FORMATS = ("json", "markdown", "csv", "ndjson", "zip")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=FORMATS, default="json")
    parser.add_argument("--cards", type=int, default=10_000, help="imported first where there are fewer")
    arguments = parser.parse_args()
    with server() as (url, key), Client(url, key, timeout=600) as client:
        return load(url, key, client, arguments.format, arguments.cards)


def load(url: str, key: str, client: Client, format: str, least: int) -> int:
    """One export; the exit status."""
    if exported(client, "json") < least:
        client.wait(client.import_cards(sample_cards(least)).id)
    wanted = exported(client, "ndjson")
    began = time.perf_counter()
    operation = client.export(format=format)
    times = StatusTimes(url, key, operation.id)
    status = client.wait(operation.id)
    ended = time.perf_counter()
    times.end()
    result = status.result or {}
    with tempfile.TemporaryDirectory(prefix="load-test-") as folder:
        path = Path(folder) / "export"
        file = client.download(operation.id, path)
        arrived = time.perf_counter()
        print(f"{'exported after':<24} {ended - began:.3f} s")
        print(f"{'downloaded after':<24} {arrived - began:.3f} s")
        print(f"{'cards/s':<24} {wanted / (ended - began):,.0f}")
        print(f"{'status call':<24} {times.report()}")
        right = [
            check("state", status.state, "SUCCESS"),
            check("cards exported", result.get("cards_exported"), wanted),
            check("cards in the file", count_cards(path, format), wanted),
            check("bytes", path.stat().st_size, result.get("file_size_bytes")),
            check("SHA-256", file.sha256, result.get("sha256")),
        ]
    return 0 if all(right) else 1


def exported(client: Client, format: str) -> int:
    """How many cards an export has now."""
    result = client.wait(client.export(format=format).id).result or {}
    return int(result.get("cards_exported", -1))


def count_cards(path: Path, format: str) -> int:
    """The cards in a downloaded file, counted by other code than wrote it."""
    if format == "zip":
        with zipfile.ZipFile(path) as archive:
            return len(archive.namelist())
    if format == "json":
        return len(json.loads(path.read_bytes()))
    with path.open(encoding="utf-8", newline="") as file:
        if format == "csv":
            csv.field_size_limit(2**31 - 1)
            return sum(1 for _ in csv.reader(file)) - 1
        if format == "ndjson":
            return sum(1 for _ in file)
        return sum(line.startswith("body_bytes: ") for line in file)


if __name__ == "__main__":
    sys.exit(main())
