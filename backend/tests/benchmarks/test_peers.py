"""The peers' comparison at a tiny size: every side runs and every count is checked. No speed is judged."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Measurement, WrongCount
from benchmarks.measure import Side, once
from benchmarks.options import Options
from benchmarks.peers import counting, directus_install, directus_server, django_cards
from benchmarks.peers.conversation import PeerFailed, PeerProcess
from benchmarks.peers.peer import NotHere
from benchmarks.peers.running import run

HAS_DJANGO = find_spec("import_export") is not None
NO_DJANGO = "django-import-export is not installed (extra bench, not part of the dev lock)"
CARDS = 200


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.skipif(not HAS_DJANGO, reason=NO_DJANGO)
def test_django_and_the_orm_worker_import_and_export_every_card_beside_ours_and_copy() -> None:
    found = list(run(Options(CARDS, 1, ("django", "orm"))))
    assert all(isinstance(one, Measurement) for one in found)
    shown = {one.name: one.cards for one in found if isinstance(one, Measurement)}
    assert shown == {
        "import, django": CARDS,
        "import, orm": CARDS,
        "export json, django": CARDS * 2,
        "export json, orm": CARDS * 2,
        "export csv, django": CARDS * 2,
    }
    for one in found:
        assert isinstance(one, Measurement)
        assert len(one.ours) == len(one.limit) == len(one.details["copy_seconds"]) == 1
        assert one.details["settings"]


def test_a_peer_that_cannot_be_had_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directus_install.shutil, "which", lambda _: None)
    (one,) = run(Options(CARDS, 1, ("directus",), peers_folder=tmp_path))
    assert isinstance(one, Figure)
    assert (one.name, one.value, one.reached) == ("directus: not measured", 0, None)
    assert "no npm" in one.note


def test_an_installation_that_fails_says_what_npm_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(directus_install.shutil, "which", lambda _: str(npm))
    with pytest.raises(NotHere, match="no such package"):
        directus_install.install(tmp_path / "cache")
    assert not list(tmp_path.rglob("installed.json"))


def test_a_peer_that_loses_a_card_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(json.dumps([dict.fromkeys(counting.EXPORTED, "x")] * 2))
    side = Side(lambda _: path, lambda _, file: counting.json_cards(file), 3)
    with pytest.raises(WrongCount, match="2 cards instead of 3"):
        once("peer", side)


def test_csv_is_counted_by_cards_not_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(counting.EXPORTED)
        for body in ("one\n\ntwo", "x" * 200_000, ""):
            writer.writerow(body if name == "body" else "x" for name in counting.EXPORTED)
    assert counting.csv_cards(path) == 2


def test_a_file_that_lacks_a_field_has_no_whole_card(tmp_path: Path) -> None:
    card = dict.fromkeys(counting.EXPORTED, "x")
    del card["published_url"]
    path = tmp_path / "cards.json"
    path.write_text(json.dumps([card]))
    assert counting.json_cards(path) == 0


def test_a_process_that_ends_says_its_last_words() -> None:
    with (
        PeerProcess("benchmarks.peers.orm_cards", "postgresql://nobody@127.0.0.1:1/nothing") as process,
        pytest.raises(PeerFailed, match="OperationalError"),
    ):
        process.ask("ready")
    with PeerProcess("benchmarks.peers.missing") as process, pytest.raises(PeerFailed, match="No module"):
        process.ask("ready")


@pytest.mark.parametrize("settings", [django_cards.SETTINGS, directus_server.SETTINGS])
def test_the_page_shows_the_settings_that_peers_run_with(settings: dict[str, object]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "peers.md").read_text()
    for name, value in settings.items():
        assert f"| `{name}` | {value} |" in page
