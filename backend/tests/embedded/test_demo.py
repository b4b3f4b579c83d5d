"""``extrophi demo``: what ``make demo`` runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from backend.cli.demo import Figure, _show
from backend.cli.sample import PUBLISHED, published_among, sample_cards
from backend.core.process import carrying

EXTROPHI = Path(sys.executable).with_name("extrophi")


def environment(folder: Path) -> dict[str, str]:
    unset = {"DATABASE_URL", "REDIS_URL", "DATA_DIR", "API_KEY_PEPPER"}
    return {name: value for name, value in os.environ.items() if name not in unset} | {
        "TMPDIR": str(folder),
        "COLUMNS": "160",
    }


@pytest.mark.integration
def test_it_imports_exports_and_accounts_for_every_card(tmp_path):
    folder = tmp_path / "temporary files"
    folder.mkdir()
    done = subprocess.run(
        [EXTROPHI, "demo", "--cards", "2005"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(folder),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    published = published_among(2005)
    for figure, value in (
        ("cards imported", "2005"),
        ("cards in the downloaded file", "2005"),
        ("awards in the ledger", str(published)),
        (r"\$EXTROPY balance", f"{published}.00000000"),
    ):
        assert re.search(rf"{figure}\W+{value}\W+as expected", done.stdout), done.stdout
    assert re.search(r"import, cards/s\W+[\d,]+", done.stdout)
    assert "Every figure is as expected." in done.stdout
    assert list(folder.glob("extrophi-demo-*")) == []


@pytest.mark.integration
def test_interrupted_it_stops_the_whole_stack(tmp_path):
    process = subprocess.Popen(
        [EXTROPHI, "demo", "--data-dir", tmp_path / "data"],
        stdout=subprocess.DEVNULL,
        env=environment(tmp_path),
    )
    try:
        while not carrying("EXTROPHI_STACK", str(tmp_path / "data")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(45) == 1
    finally:
        process.kill()
        process.wait()
    assert carrying("EXTROPHI_STACK", str(tmp_path / "data")) == []


def test_a_figure_that_is_off_fails_the_demo():
    shown = StringIO()
    console = Console(file=shown, width=120)
    good = Figure("cards imported", 10, 10)
    assert _show([good, Figure("cards/s", "12,000")], console)
    assert not _show([good, Figure("cards exported", 9, 10)], console)
    assert "These figures are off: cards exported" in shown.getvalue()
    assert "expected 10" in shown.getvalue()


def test_sample_cards_are_the_same_each_time_and_of_every_privacy_level():
    cards = list(sample_cards(1000))
    assert cards == list(sample_cards(1000))
    assert len({card["title"] for card in cards}) == 1000
    assert set(Counter(card["privacy_level"] for card in cards)) == {
        "PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS"
    }  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 3, 10, 17, 1000])
def test_the_number_of_published_sample_cards_is_known_beforehand(count):
    assert published_among(count) == sum(card["privacy_level"] in PUBLISHED for card in sample_cards(count))
