"""A million cards in as NDJSON and out as CSV, with the memory of every process of the stack.

``python scripts/memory_at_a_million.py --cards 1000000``. Starts a stack of its own. Memory is proportional
set size (PSS) from ``/proc``: what is shared with other processes counts in shares. Ends with status 1 when a
card is missing or the API's memory was not flat.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backend.cli.sample import sample_cards
from backend.client.sync import Client

_EVERY_SECONDS = 0.5
FLAT_MB = 64  # what the API's memory may differ from idle, whatever the number of cards


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000)
    count = parser.parse_args().cards
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        ready = folder / "ready.json"
        command = [sys.executable, "-m", "backend.cli.main", "up", "--port", "0"]
        options = ["--data-dir", str(folder / "data"), "--ready-file", str(ready)]
        stack = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                if stack.poll() is not None:
                    raise SystemExit("The stack did not start; `extrophi doctor` says why.")
                time.sleep(0.1)
            return measure(json.loads(ready.read_text()), folder, count)
        finally:
            stack.terminate()
            stack.wait(60)


def measure(stack: dict[str, object], folder: Path, count: int) -> int:
    """Import, export, and print the table; the exit status."""
    source, target = folder / "cards.ndjson", folder / "cards.csv"
    with source.open("w", encoding="utf-8") as file:
        for card in sample_cards(count):
            file.write(json.dumps(card) + "\n")
    meter = Meter(stack["pids"])
    meter.phase = "idle"
    time.sleep(2)
    with Client(str(stack["url"]), str(stack["api_key"]), timeout=900) as client:
        meter.phase, began = "import", time.perf_counter()
        status = client.wait(client.import_file(source).id)
        imported = (status.result or {}).get("cards_imported")
        import_seconds = time.perf_counter() - began
        meter.phase, began = "export", time.perf_counter()
        exported = client.wait(client.export(format="csv").id)
        client.download(exported.id, target)
        export_seconds = time.perf_counter() - began
    meter.end()
    csv.field_size_limit(2**31 - 1)
    with target.open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    print(
        f"{count:,} cards: imported {imported:,} in {import_seconds:.1f} s, "
        f"exported {rows:,} in {export_seconds:.1f} s"
    )
    print(f"{'process':<12} {'idle MB':>8} {'import MB':>10} {'export MB':>10}")
    for name, most in sorted(meter.most.items()):
        print(f"{name:<12} {most['idle']:>8.0f} {most['import']:>10.0f} {most['export']:>10.0f}")
    api = meter.most["api"]
    grown = max(api["import"], api["export"]) - api["idle"]
    print(f"the API grew by {grown:.0f} MB; {FLAT_MB} are allowed")
    return 0 if imported == rows == count and grown <= FLAT_MB else 1


class Meter(threading.Thread):
    """The most that each kind of process used, by phase; of a worker its largest child."""

    def __init__(self, pids: object) -> None:
        super().__init__(daemon=True)
        assert isinstance(pids, dict)
        self._pids: dict[str, object] = pids
        self.phase = "idle"
        self.most: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._stop_asked = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stop_asked.wait(_EVERY_SECONDS):
            for name, value in self._pids.items():
                for pid in value if isinstance(value, list) else [value]:
                    if isinstance(pid, int):
                        self._note(name, pid)
                        for child in _children(pid) if name in ("worker", "postgres") else ():
                            self._note(f"{name} child", child)

    def _note(self, name: str, pid: int) -> None:
        used = _pss(pid)
        self.most[name][self.phase] = max(self.most[name][self.phase], used)

    def end(self) -> None:
        """Stop measuring."""
        self._stop_asked.set()
        self.join()


def _pss(pid: int) -> float:
    """Proportional set size in MB; 0 for a process that is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
