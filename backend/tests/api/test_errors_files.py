"""Failed records of every kind of file: asked for in every format, mended, and sent back as they are."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from backend.tests.formats.presets.zips import zipped
from backend.tests.support.service import InProcess, done, get

MEDIA = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "markdown": "text/markdown",
    "zip": "application/zip",
}


def card(number: int, level: str) -> dict[str, Any]:
    return {"title": f"T{number}", "body": "=1\n---\n", "category": "c", "privacy_level": level}


LEVELS = ("PRIVATE", "WRONG", "PRIVATE", "WRONG")
CARDS = [card(number, level) for number, level in enumerate(LEVELS)]
NOTES = {
    f"N/T{number}.md": f"---\nprivacy_level: {level}\nmood: [a]\n---\nText {number}\n".encode()
    for number, level in enumerate(LEVELS)
}
SENT: dict[str, tuple[str, bytes]] = {
    "json": ("application/json", json.dumps({"cards": CARDS}, indent=1).encode()),
    "ndjson": ("application/x-ndjson", "\n".join(map(json.dumps, CARDS)).encode()),
    "csv": (
        "text/csv",
        ("title;text;odd;privacy\r\n" + "".join(f'T{n};"a\nb";x;{one}\r\n' for n, one in enumerate(LEVELS)))
        .encode("utf-16"),
    ),
    "markdown": (
        "text/markdown",
        "".join(f"---\ntitle: T{n}\nprivacy_level: {one}\n---\nx\n" for n, one in enumerate(LEVELS)).encode(),
    ),
    "zip": ("application/zip", zipped(NOTES)),
}  # fmt: skip


def mended(format: str, data: bytes) -> bytes:
    if format != "zip":
        return data.replace(b"WRONG", b"IDEAS")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({name: archive.read(name).replace(b"WRONG", b"IDEAS") for name in archive.namelist()})


def upload(service: InProcess, data: bytes, media: str, query: str = "") -> dict[str, Any]:
    headers = {**service.headers, "Content-Type": media}
    return done(service, service.http.post(f"/bulk/import{query}", content=data, headers=headers))


def errors_of(service: InProcess, task: str, format: str) -> bytes:
    answer = get(service, f"/bulk/operations/{task}/errors?format={format}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == MEDIA[format]
    suffix = {"markdown": "md"}.get(format, format)
    assert answer.headers["content-disposition"] == f'attachment; filename="errors-{task}.{suffix}"'
    return bytes(answer.content)


@pytest.mark.parametrize("kind", list(SENT))
def test_what_failed_is_mended_and_sent_back_in_every_format(service: InProcess, kind: str) -> None:
    media, data = SENT[kind]
    first = upload(service, data, media)
    assert (first["result"]["cards_imported"], first["result"]["cards_failed"]) == (2, 2)
    assert [error["index"] for error in first["result"]["errors"]] == [1, 3]
    whole = service.query("SELECT title, body, category, tags, metadata FROM cards ORDER BY id")
    for number, name in enumerate(MEDIA, 1):
        file = errors_of(service, first["task_id"], name)
        again = upload(service, file, MEDIA[name])["result"]
        assert (again["cards_imported"], again["cards_failed"]) == (0, 2), (name, "not mended yet")
        result = upload(service, mended(name, file), MEDIA[name])["result"]
        assert (result["cards_imported"], result["cards_failed"]) == (2, 0), (name, result)
        rows = service.query("SELECT title, body, category, tags, metadata FROM cards ORDER BY id")[
            2 * number :
        ]
        assert [row[0] for row in rows] == ["T1", "T3"], name
        if kind in ("json", "ndjson"):
            assert [row[1:] for row in rows] == [row[1:] for row in whole], name


@pytest.mark.parametrize("format", ["json", "ndjson", "csv", "zip"])
def test_a_vaults_notes_are_sent_back_with_their_preset(service: InProcess, format: str) -> None:
    first = upload(service, zipped(NOTES), "application/zip", "?preset=obsidian")
    assert (first["result"]["cards_imported"], first["result"]["cards_failed"]) == (2, 2)
    file = mended(format, errors_of(service, first["task_id"], format))
    result = upload(service, file, MEDIA[format], "?preset=obsidian")["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (2, 0), result
    rows = service.query("SELECT title, category, external_id, body FROM cards ORDER BY id")
    assert sorted(rows) == [(f"T{n}", "N", f"obsidian:N/T{n}.md", f"Text {n}\n") for n in range(4)]


@pytest.mark.parametrize("format", ["json", "ndjson", "csv"])
def test_an_anki_note_that_was_too_large_is_sent_back_with_its_preset(
    service: InProcess, format: str
) -> None:
    notes = "#separator:tab\n#html:false\n#guid column:1\ng1\tFront\t{}\ng2\tOther\tback\n".format(
        "x" * 1_048_577
    )
    first = upload(service, notes.encode(), "text/plain", "?preset=anki")
    assert (first["result"]["cards_imported"], first["result"]["cards_failed"]) == (1, 1)
    file = errors_of(service, first["task_id"], format).replace(b"x" * 1_048_577, b"shorter")
    result = upload(service, file, MEDIA[format], "?preset=anki")["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (1, 0), result
    assert service.query("SELECT external_id, title, body FROM cards ORDER BY external_id") == [
        ("g1", "Front", "shorter"),
        ("g2", "Other", "back"),
    ]
