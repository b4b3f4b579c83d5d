"""Exports as operations: options, the file, its summary, cancelling, being killed."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend.artifacts.store import ArtifactStore, open_store
from backend.cards import channel
from backend.core.errors import Gone, InvalidRequest, Unavailable, ValidationFailed
from backend.core.ids import new_operation_id
from backend.core.settings import get_settings
from backend.db.session import unit_of_work
from backend.operations import exporting
from backend.operations.export_options import ExportOptions, read_options
from backend.operations.exporting import count, run_export, validate_options
from backend.tests.support import hostile


def content(store: ArtifactStore, key: str) -> bytes:
    return b"".join(store.read(key))


def test_the_file_is_what_its_summary_says(owner: UUID) -> None:
    hostile.insert(owner, hostile.cards(50))
    operation = new_operation_id()
    done = run_export(owner, operation, validate_options({"format": "json", "compression": "gzip"}))
    data = content(open_store(), done.artifact["key"])
    assert len(json.loads(gzip.decompress(data))) == done.cards == 50
    assert done.artifact["key"].startswith(f"exports/{owner}/{operation}/")
    assert done.artifact["media_type"] == "application/gzip"
    assert done.artifact["file_name"].endswith(".json.gz")
    assert done.artifact["sha256"] == done.summary["sha256"] == hashlib.sha256(data).hexdigest()
    assert done.bytes == done.summary["file_size_bytes"] == len(data)
    assert done.summary["cards_exported"] == 50
    assert done.summary["export_format"] == "json"
    assert done.summary["watermark"] == done.watermark
    assert json.loads(json.dumps(done.summary)) == done.summary


def test_an_account_without_cards_exports_a_valid_file_in_every_format(owner: UUID) -> None:
    import io
    import zipfile

    found = {
        name: content(open_store(), run_export(owner, new_operation_id(), {"format": name}).artifact["key"])
        for name in ("json", "ndjson", "csv", "markdown", "zip")
    }
    assert json.loads(found["json"]) == []
    assert found["ndjson"] == found["markdown"] == b""
    assert found["csv"].startswith(b"id,title,body,")
    assert found["csv"].count(b"\n") == 1
    assert zipfile.ZipFile(io.BytesIO(found["zip"])).namelist() == []


def test_a_later_export_carries_only_what_changed(owner: UUID) -> None:
    hostile.insert(owner, hostile.cards(3))
    first = run_export(owner, new_operation_id(), validate_options({}))
    hostile.insert(owner, hostile.cards(2))
    options = validate_options({"since": first.watermark})
    with unit_of_work(owner) as connection:
        assert count(connection, owner, options) == 5  # an estimate: all that match
    second = run_export(owner, new_operation_id(), options)
    assert (second.cards, second.tombstones, second.summary["tombstones"]) == (2, 0, 0)


def test_a_foreign_watermark_is_refused_when_it_is_submitted(owner: UUID) -> None:
    from backend.cards.watermark import Watermark

    options = validate_options({"since": Watermark("0" * 16, "1:1:").token()})
    with pytest.raises(Gone), unit_of_work(owner) as connection:
        count(connection, owner, options)


def test_cancelled_leaves_no_file(owner: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "TICK_SECONDS", 0.0)
    hostile.insert(owner, [card | {"body": "x" * 100_000} for card in hostile.cards(300)])
    with pytest.raises(exporting.Cancelled):
        run_export(owner, new_operation_id(), {"format": "csv"}, should_stop=lambda: True)
    assert list(open_store().list()) == []


@pytest.mark.parametrize("name", ["export.before_artifact", "export.after_artifact"])
def test_a_transient_error_passes_and_the_next_run_writes_its_own_file(
    owner: UUID, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hostile.insert(owner, hostile.cards(3))
    monkeypatch.setenv("FAILPOINT", f"{name}:raise")
    get_settings.cache_clear()
    operation = new_operation_id()
    with pytest.raises(Unavailable):
        run_export(owner, operation, {"format": "csv"})
    monkeypatch.delenv("FAILPOINT")
    get_settings.cache_clear()
    done = run_export(owner, operation, {"format": "csv"})
    assert done.cards == 3
    stored = open_store().head(done.artifact["key"])
    assert stored is not None
    assert stored.sha256 == done.artifact["sha256"]


def test_killed_in_the_middle_there_is_no_file(owner: UUID, database: str, tmp_path: Path) -> None:
    hostile.insert(owner, [card | {"body": "x" * 200_000} for card in hostile.cards(200)])
    script = (
        "import os, sys, uuid\n"
        "from backend.operations.export_stream import ExportStream\n"
        "whole = ExportStream._framed\n"
        "def cut(self):\n"
        "    for place, chunk in enumerate(whole(self)):\n"
        "        if place == 40: os.kill(os.getpid(), 9)\n"
        "        yield chunk\n"
        "ExportStream._framed = cut\n"
        "from backend.operations.exporting import run_export\n"
        "run_export(uuid.UUID(sys.argv[1]), uuid.uuid4(), {'format': 'ndjson'})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(owner)], env={**os.environ}, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    assert list(open_store().list()) == []


def test_options_are_stored_as_plain_json_and_read_back_equal() -> None:
    given = {
        "format": "CSV",
        "compression": "zstd",
        "include_metadata": False,
        "privacy_levels": ["ideas"],
        "card_ids": [str(uuid4())],
        "published_only": True,
        "created_after": "2026-01-01T00:00:00Z",
    }
    stored = json.loads(json.dumps(validate_options(given)))
    assert read_options(stored) == read_options(given)
    assert read_options(stored).format == "csv"
    assert validate_options(stored) == stored


def test_the_documented_request_is_accepted() -> None:
    read = read_options(
        {
            "card_ids": None,
            "privacy_levels": ["BUSINESS", "IDEAS"],
            "categories": None,
            "published_only": False,
            "format": "json",
            "include_metadata": True,
        }
    )
    assert read.filters.privacy_levels == ("BUSINESS", "IDEAS")
    assert read_options({}) == ExportOptions()


@pytest.mark.parametrize("wrong", ["xml", "", 5, ["json"], "json\0"])
def test_an_unknown_format_is_the_documented_error(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"Invalid format. Must be one of: json, markdown, csv"):
        read_options({"format": wrong})


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({"compression": "brotli"}, ["/compression"]),
        ({"include_metadata": 1}, ["/include_metadata"]),
        ({"since": "x"}, ["/since"]),
        ({"since": 5}, ["/since"]),
        ({"categorys": ["x"]}, ["/categorys"]),
        ({"a/b~c": 1}, ["/a~1b~0c"]),
        ({"compression": [], "tags": [], "since": "x"}, ["/compression", "/tags", "/since"]),
    ],
)
def test_wrong_options_are_pointed_at(given: dict[str, Any], pointers: list[str]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        read_options(given)
    assert [error.pointer for error in caught.value.errors] == pointers
