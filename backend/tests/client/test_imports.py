"""Imports: what goes over the wire for cards, files and streams."""

from __future__ import annotations

import gzip
import io
import json
import os
import uuid
from datetime import UTC, datetime

import pytest
from backports import zstd

from backend.client import errors
from backend.client.json_array import NotAnArray
from backend.tests.client.server import accepted, cuts, says


def card(number: int, **more: object) -> dict[str, object]:
    return {"title": f"t{number}", "body": "b", "category": "c", "privacy_level": "IDEAS"} | more


@pytest.fixture
def accepting(server):
    return server.then(accepted())


def test_few_cards_go_as_the_documented_body(call, accepting):
    operation = call("import_cards", [card(1), card(2)], publish_business=False, on_duplicate="skip")
    request = accepting.seen[0]
    assert (request.method, request.path, request.query) == ("POST", "/bulk/import", {})
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer extro_live_test"
    assert json.loads(request.body) == {
        "cards": [card(1), card(2)],
        "publish_business": False,
        "on_duplicate": "skip",
    }
    assert operation.estimated_duration_seconds == 1


def test_ten_thousand_cards_are_one_body_and_one_more_is_an_upload(call, accepting):
    call("import_cards", (card(n) for n in range(10_000)))
    call("import_cards", (card(n) for n in range(10_001)), dry_run=True, publish_ideas=True)
    body, upload = accepting.seen
    assert len(json.loads(body.body)["cards"]) == 10_000
    assert upload.headers["content-type"] == "application/x-ndjson"
    assert upload.query == {"dry_run": ["true"], "publish_ideas": ["true"]}
    assert [json.loads(line) for line in upload.body.splitlines()] == [card(n) for n in range(10_001)]


def test_an_upload_of_cards_from_a_generator_can_be_sent_again(call, server):
    server.then(cuts, accepted("t-5"))
    assert call("import_cards", (card(n) for n in range(10_001))).id == "t-5"
    assert server.seen[0].body == server.seen[1].body
    assert server.seen[0].body.count(b"\n") == 10_001


@pytest.mark.parametrize("name", ["cards.ndjson", "cards.json"])
def test_the_sending_of_a_file_is_followed_by_its_bytes(call, accepting, tmp_path, name):
    """Also where it is changed on its way: the bytes are the file's."""
    path = tmp_path / name
    lines = [json.dumps(card(n, body="x" * 1_000)) for n in range(1_000)]
    path.write_text("\n".join(lines) if name == "cards.ndjson" else f"[{','.join(lines)}]")
    heard: list[tuple[int, int | None]] = []
    call("import_file", path, on_progress=lambda sent, total: heard.append((sent, total)))
    size = path.stat().st_size
    assert len(heard) > 2
    assert heard == sorted(heard)
    assert heard[-1] == (size, size)
    assert accepting.seen[0].body.count(b"\n") >= 999


def test_no_cards_are_left_to_the_server_to_refuse(call, accepting):
    call("import_cards", [])
    assert json.loads(accepting.seen[0].body) == {"cards": []}


def test_dates_and_ids_are_written_as_text(call, accepting):
    moment, some_id = datetime(2026, 1, 2, tzinfo=UTC), uuid.uuid4()
    call("import_cards", [card(1, created_at=moment, external_id=some_id)])
    sent = json.loads(accepting.seen[0].body)["cards"][0]
    assert sent["created_at"] == "2026-01-02T00:00:00+00:00"
    assert sent["external_id"] == str(some_id)


def test_a_lone_surrogate_reaches_the_server_which_fails_that_card(call, accepting):
    call("import_cards", [card(1, title="\ud800")])
    assert b'"\\ud800"' in accepting.seen[0].body


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_what_is_not_json_is_named_by_its_index_and_nothing_is_sent(call, accepting, value):
    with pytest.raises((ValueError, TypeError), match="card 1: "):
        call("import_cards", [card(1), card(2, metadata={"x": value})])
    assert accepting.seen == []


@pytest.mark.parametrize(
    ("name", "media_type", "encoding"),
    [
        ("a.ndjson", "application/x-ndjson", None),
        ("a.jsonl", "application/x-ndjson", None),
        ("a.csv", "text/csv", None),
        ("A.CSV.GZ", "text/csv", "gzip"),
        ("a.b.md.zst", "text/markdown", "zstd"),
        ("vault.zip", "application/zip", None),
        ("a.json", "application/json", None),
    ],
)
def test_a_file_goes_as_it_is_with_the_type_of_its_name(
    call, accepting, tmp_path, name, media_type, encoding
):
    path = tmp_path / name
    path.write_bytes(b'{"any": "bytes"}')
    call("import_file", path)
    request = accepting.seen[0]
    assert request.headers["content-type"] == media_type
    assert request.headers.get("content-encoding") == encoding
    assert request.headers["content-length"] == "16"
    assert request.body == b'{"any": "bytes"}'


def test_options_of_a_file_travel_as_query_parameters(call, accepting, tmp_path):
    path = tmp_path / "highlights.csv"
    path.write_text("Highlight\nx\n")
    call(
        "import_file",
        path,
        preset="readwise",
        publish_business=False,
        default_category="BOOKS",
        error_policy="reject_everything",
    )
    assert accepting.seen[0].query == {
        "preset": ["readwise"],
        "publish_business": ["false"],
        "default_category": ["BOOKS"],
        "error_policy": ["reject_everything"],
    }


@pytest.mark.parametrize(
    ("compression", "decompress"), [("gzip", gzip.decompress), ("zstd", zstd.decompress)]
)
def test_a_file_is_compressed_on_its_way(call, accepting, tmp_path, compression, decompress):
    path = tmp_path / "a.ndjson"
    path.write_bytes(os.urandom(300_000).hex().encode())
    call("import_file", path, compress=compression)
    request = accepting.seen[0]
    assert request.headers["content-encoding"] == compression
    assert decompress(request.body) == path.read_bytes()


def test_a_large_file_is_sent_again_from_its_start_after_a_cut(call, server, tmp_path):
    server.then(cuts, accepted("t-7"))
    path = tmp_path / "a.csv"
    path.write_bytes(os.urandom(2_000_000))
    assert call("import_file", str(path)).id == "t-7"
    assert [one.body == path.read_bytes() for one in server.seen] == [True, True]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
def test_a_json_array_goes_as_lines_with_each_element_as_it_was(call, accepting, tmp_path, name):
    path = tmp_path / name
    text = b'[{"title": "a\\"],[", "n": 1.10},\n {"b":\n [1, {"c": "\\u0041"}]}, 3, "x" ]\n'
    packed = {"gz": gzip.compress, "zst": zstd.compress}.get(name.rpartition(".")[2], bytes)(text)
    path.write_bytes(packed)
    call("import_file", path)
    request = accepting.seen[0]
    assert request.headers["content-type"] == "application/x-ndjson"
    assert "content-encoding" not in request.headers
    assert [line.strip() for line in request.body.splitlines()] == [
        b'{"title": "a\\"],[", "n": 1.10}',
        b'{"b":  [1, {"c": "\\u0041"}]}',
        b"3",
        b'"x"',
    ]


def test_a_json_array_that_does_not_end_is_refused_before_it_is_whole(call, accepting, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, {"b"')
    with pytest.raises(NotAnArray):
        call("import_file", path)


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1000) if size > 0 else size)


def test_a_pipe_can_be_sent_again_after_a_cut(call, server):
    server.then(cuts, accepted("t-8"))
    data = b"".join(json.dumps(card(n)).encode() + b"\n" for n in range(500))
    assert call("import_file", Pipe(data), media_type="application/x-ndjson").id == "t-8"
    assert [one.body for one in server.seen] == [data, data]


def test_an_open_file_goes_from_where_it_stands(call, accepting):
    stream = io.BytesIO(b"skip me" + b"a,b\n1,2\n")
    stream.seek(7)
    call("import_file", stream, media_type="text/csv")
    assert accepting.seen[0].body == b"a,b\n1,2\n"


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b'{"title": "x"}\n{"title": "y"}\n', "application/x-ndjson"),
        (b'{"cards": []}', "application/json"),
        (b'{"errors": []}\n', "application/json"),
        (b'{\n "cards": []}', "application/json"),
        (b"PK\x03\x04rest", "application/zip"),
        (b"---\ntitle: x\n---\n", "text/markdown"),
    ],
)
def test_a_stream_without_a_name_is_told_by_its_start(call, accepting, start, media_type):
    call("import_file", io.BytesIO(start))
    assert accepting.seen[0].headers["content-type"] == media_type


def test_what_cannot_be_told_is_asked_for(call, accepting, tmp_path):
    with pytest.raises(errors.NotAFormat):
        call("import_file", io.BytesIO(b"a,b\n"))
    path = tmp_path / "cards.xls"
    path.write_bytes(b"x")
    with pytest.raises(errors.NotAFormat, match="ndjson"):
        call("import_file", path)
    assert accepting.seen == []


def test_a_file_that_is_not_there_is_an_os_error(call, accepting, tmp_path):
    with pytest.raises(FileNotFoundError):
        call("import_file", tmp_path / "none.csv")


def test_presets_are_listed(call, server):
    server.then(says({"presets": [{"name": "anki"}]}))
    assert call("presets") == [{"name": "anki"}]
