"""Each product's own files over HTTP: previewed, imported without a failed card, again without doubling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.tests.formats.presets.zips import FIXTURES, tree, zipped
from backend.tests.support.service import InProcess, done

# preset, media type, file name, the file (a folder is zipped), cards in it
FILES: tuple[tuple[str, str, str, str, int], ...] = (
    ("readwise", "text/csv", "template.csv", "readwise/import_template.csv", 6),
    ("readwise", "application/vnd.ms-excel", "export.csv", "readwise/export.csv", 4),
    ("readwise", "text/csv", "duplicated.csv", "readwise/duplicated_headers.csv", 2),
    ("anki", "text/plain", "notes.txt", "anki/notes.txt", 6),
    ("anki", "text/plain", "semicolon.txt", "anki/semicolon.txt", 4),
    ("anki", "text/plain", "no_headers.txt", "anki/no_headers.txt", 2),
    ("obsidian", "application/zip", "vault.zip", "vault", 7),
    ("notion", "application/zip", "export.zip", "notion", 7),
    ("notion", "text/csv", "list.csv", "notion/Reading list 0f1e2d3c4b5a69788796a5b4c3d2e1f0_all.csv", 4),
    ("twitter", "application/zip", "twitter.zip", "twitter", 6),
    ("twitter", "text/javascript", "tweets.js", "twitter/data/tweets.js", 3),
)


def content(file: str) -> bytes:
    path: Path = FIXTURES / file
    return zipped(tree(file)) if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize(("preset", "media", "name", "file", "count"), FILES)
def test_a_presets_file_is_imported_without_a_failed_card(
    service: InProcess, preset: str, media: str, name: str, file: str, count: int
) -> None:
    data = content(file)
    headers = {**service.headers, "Content-Type": media}

    def post(path: str) -> Any:
        return service.http.post(path, content=data, headers=headers)

    rows = post(f"/bulk/import/preview?preset={preset}").json()["rows"]
    assert (len(rows), [row for row in rows if "code" in row]) == (count, [])
    result = done(service, post(f"/bulk/import?preset={preset}"))["result"]
    assert (result["cards_imported"], result["cards_failed"], result["errors"]) == (count, 0, [])
    stored = service.query("SELECT title, body, category, tags FROM cards ORDER BY id")
    shown = [row["card"] for row in rows]
    assert stored == [(c["title"], c["body"], c["category"], c.get("tags", [])) for c in shown]

    form = service.http.post(
        "/bulk/import",
        headers=service.headers,
        data={"preset": preset, "on_duplicate": "skip"},
        files={"file": (name, data, media)},
    )
    again = done(service, form)["result"]
    assert (again["cards_imported"], again["cards_failed"], again["cards_skipped"]) == (0, 0, count)
