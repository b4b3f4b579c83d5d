"""Files over HTTP: raw, in forms, compressed; previewed; their failed rows sent back and imported again."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zipfile
from typing import Any

import pytest

from backend.core.settings import get_settings
from backend.tests.support.service import InProcess, done, get

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CSV = 'title,body,category,privacy_level,colour\r\nOne,"a\r\nb",Cat,BUSINESS,red\r\nTwo,,Cat,PRIVATE,\r\n'
NDJSON = "".join(
    json.dumps({"title": f"T{i}", "body": "b", "category": "c", "privacy_level": "PRIVATE"}) + "\n"
    for i in range(250)
)
MARKDOWN = (
    "---\ntitle: One\ntags: [a, b]\nmood: good\n---\n\nText\n\n---\n\nmore\n\n---\ntitle: Two\n---\nEnd\n"
)


def upload(service: InProcess, data: str | bytes, media: str, query: str = "", **headers: str) -> Any:
    content = data.encode() if isinstance(data, str) else data
    sent = {**service.headers, "Content-Type": media, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return service.http.post(f"/bulk/import{query}", content=content, headers=sent)


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".md", text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "media", "count"),
    [
        (CSV, "text/csv", 2),
        (CSV.replace(",", ";"), "text/csv; charset=utf-8", 2),
        ("\ufeff" + CSV.replace(",", "\t"), "text/tab-separated-values", 2),
        (NDJSON, "application/x-ndjson", 250),
        (MARKDOWN, "text/markdown", 2),
        (zipped(Notes__A="---\ntitle: A\n---\nx", B="just text"), "application/zip", 2),
        (
            json.dumps({"cards": [json.loads(line) for line in NDJSON.splitlines()[:3]]}),
            "application/json",
            3,
        ),
    ],
)
@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
def test_every_kind_of_file_comes_in(
    service: InProcess, data: str | bytes, media: str, count: int, encoding: str | None
) -> None:
    content = data.encode() if isinstance(data, str) else data
    packed = {None: content, "gzip": gzip.compress(content), "zstd": zstd.compress(content)}[encoding]
    headers = {"Content_Encoding": encoding} if encoding else {}
    answer = upload(service, packed, media, **headers)
    result = done(service, answer)["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (count, 0)
    assert answer.json()["message"] == f"Bulk import initiated for {count} cards"


def test_columns_become_fields_and_unknown_ones_metadata(service: InProcess) -> None:
    done(service, upload(service, CSV, "text/csv"))
    rows = service.query("SELECT title, body, category, privacy_level, metadata FROM cards ORDER BY id")
    assert rows == [
        ("One", "a\r\nb", "Cat", "BUSINESS", {"colour": "red"}),
        ("Two", "", "Cat", "PRIVATE", {}),
    ]


def test_front_matter_becomes_fields_and_a_rule_in_the_text_stays(service: InProcess) -> None:
    done(service, upload(service, MARKDOWN, "text/markdown", "?default_category=Notes"))
    rows = service.query("SELECT title, body, category, tags, metadata FROM cards ORDER BY id")
    assert rows == [
        ("One", "Text\n\n---\n\nmore", "Notes", ["a", "b"], {"mood": "good"}),
        ("Two", "End", "Notes", [], {}),
    ]


def test_a_form_carries_a_file_and_options(service: InProcess) -> None:
    answer = service.http.post(
        "/bulk/import",
        headers=service.headers,
        data={"default_privacy_level": "IDEAS", "dry_run": "false"},
        files={"file": ("cards.csv", b"title,body\nA,b\n", "application/octet-stream")},
    )
    assert done(service, answer)["result"]["cards_published"] == 1


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, 400),
        (
            [("file", ("a.csv", b"title\nx\n", "text/csv")), ("file", ("b.csv", b"title\nx\n", "text/csv"))],
            400,
        ),
        ({"file": ("a.exe", b"MZ", "application/x-msdownload")}, 415),
        ({"file": ("a.csv", b"", "text/csv")}, 400),
    ],
)
def test_a_form_without_one_readable_file_is_refused(service: InProcess, files: Any, status: int) -> None:
    answer = service.http.post(
        "/bulk/import", headers=service.headers, data={"dry_run": "false"}, files=files or {"x": (None, b"y")}
    )
    assert answer.status_code == status, answer.text


def test_a_repeated_upload_with_one_key_is_one_operation(service: InProcess) -> None:
    first = upload(service, NDJSON, "application/x-ndjson", Idempotency_Key="k")
    again = upload(service, NDJSON, "application/x-ndjson", Idempotency_Key="k")
    other = upload(service, NDJSON + NDJSON, "application/x-ndjson", Idempotency_Key="k")
    assert again.json() == first.json()
    assert other.status_code == 422
    assert service.query("SELECT count(*) FROM operations") == [(1,)]


def test_more_cards_than_a_file_may_hold_are_413_and_leave_nothing(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CARDS_PER_FILE", "249")
    get_settings.cache_clear()
    assert upload(service, NDJSON, "application/x-ndjson").status_code == 413
    assert service.query("SELECT count(*) FROM operations") == [(0,)]


def test_uploads_leave_no_file_behind(service: InProcess) -> None:
    upload(service, NDJSON, "application/x-ndjson")
    upload(service, b"\xff\xfe", "text/csv")
    assert list((get_settings().data_dir / "uploads").iterdir()) == []


def test_bad_lines_fail_alone_with_their_line(service: InProcess) -> None:
    lines = NDJSON.splitlines()[:3]
    text = "\n".join(
        [lines[0], "", "{bad", lines[1], '{"title": "x", "title": "y"}', '{"title": 1e999}', lines[2]]
    )
    status = done(service, upload(service, text, "application/x-ndjson"))
    assert status["result"]["cards_imported"] == 3
    errors = status["result"]["errors"]
    assert [(error["index"], error["row"], error["code"]) for error in errors] == [
        (1, 3, "unreadable_row"), (3, 5, "unreadable_row"), (4, 6, "unreadable_row"),
    ]  # fmt: skip


@pytest.mark.parametrize("format", ["json", "ndjson", "csv"])
@pytest.mark.parametrize("source", ["json", "csv"])
def test_an_errors_file_is_imported_as_it_is_once_it_is_mended(
    service: InProcess, source: str, format: str
) -> None:
    if source == "json":
        cards = [json.loads(line) for line in NDJSON.splitlines()[:5]]
        for index in (1, 3):
            cards[index]["privacy_level"] = "WRONG"
        answer = upload(service, json.dumps({"cards": cards}), "application/json")
    else:
        rows = [f'T{i},"=b, {i}",c,{"WRONG" if i in (1, 3) else "PRIVATE"},x{i}' for i in range(5)]
        answer = upload(service, "\r\n".join(["title,body,category,privacy_level,odd", *rows]), "text/csv")
    assert done(service, answer)["result"]["cards_failed"] == 2
    file = get(service, f"/bulk/operations/{answer.json()['task_id']}/errors?format={format}")
    assert file.status_code == 200
    assert "attachment" in file.headers["content-disposition"]
    media = file.headers["content-type"].partition(";")[0]
    result = done(service, upload(service, file.text.replace("WRONG", "PRIVATE"), media))["result"]
    assert (result["cards_imported"], result["cards_failed"]) == (2, 0), result
    assert service.query("SELECT count(*), count(DISTINCT title) FROM cards") == [(5, 5)]


def test_a_preview_shows_twenty_rows_and_stores_nothing(service: InProcess) -> None:
    headers = {**service.headers, "Content-Type": "application/x-ndjson"}
    body = ('{"title": ""}\n' + NDJSON).encode()
    rows = service.http.post("/bulk/import/preview", content=body, headers=headers).json()["rows"]
    assert len(rows) == 20
    assert rows[0]["code"] == "missing_field"
    assert rows[1]["card"]["title"] == "T0"
    assert rows[1]["row"] == 2
    assert service.query("SELECT count(*) FROM operations") == [(0,)]


def test_presets_are_listed_and_unknown_ones_refused(service: InProcess) -> None:
    names = [preset["name"] for preset in get(service, "/bulk/presets").json()["presets"]]
    assert names == ["readwise", "anki", "obsidian", "notion", "twitter"]
    answer = upload(service, CSV, "text/csv", "?preset=unknown")
    assert answer.status_code == 400
    assert "readwise" in answer.json()["detail"]


def test_each_presets_example_is_imported(service: InProcess) -> None:
    for preset in get(service, "/bulk/presets").json()["presets"]:
        example = preset["example"]
        data: bytes = example["text"].encode()
        media = preset["media_types"][0]
        if example["file"].endswith(".md"):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(example["file"], data)
            data, media = buffer.getvalue(), "application/zip"
        elif media == "application/zip":
            media = "application/octet-stream"
        status = done(service, upload(service, data, media, f"?preset={preset['name']}"))
        result = status["result"]
        assert (result["cards_imported"] >= 1, result["cards_failed"]) == (True, 0), (preset["name"], status)


def test_bombs_are_refused_at_once(service: InProcess) -> None:
    bomb = gzip.compress(b"\n" * 80_000_000)
    assert upload(service, bomb, "application/x-ndjson", Content_Encoding="gzip").status_code == 413
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.md", b"x" * 80_000_000)
    assert upload(service, buffer.getvalue(), "application/zip").status_code == 413
