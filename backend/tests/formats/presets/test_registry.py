"""The list of presets, their examples, and the preview."""

import gzip
import json
from pathlib import Path

import pytest

from backend.cards.reading import read_card
from backend.cards.schema import CardIn
from backend.core.errors import MalformedBody
from backend.formats.base import Limits
from backend.formats.presets.registry import PRESETS
from backend.formats.preview import preview
from backend.tests.formats.presets.zips import FIXTURES, zipped


def test_the_five_presets_are_there_under_their_names() -> None:
    assert list(PRESETS) == ["readwise", "anki", "obsidian", "notion", "twitter"]
    for name, preset in PRESETS.items():
        assert preset.name == name == preset.source().name
        assert preset.title
        assert preset.description
        assert all(extension.startswith(".") for extension in preset.extensions)


@pytest.mark.parametrize("name", list(PRESETS))
def test_each_example_becomes_the_card_beside_it(name: str, tmp_path: Path) -> None:
    preset, path = PRESETS[name], tmp_path / "upload"
    data = preset.example.text.encode()
    path.write_bytes(zipped({preset.example.file: data}) if preset.extensions[0] == ".zip" else data)
    shown = preview(preset.source(), path, None, {}, Limits())
    assert [entry["card"] for entry in shown] == [preset.example.card]
    assert isinstance(read_card(json.dumps(preset.example.card).encode()), CardIn)


def test_a_preview_shows_the_first_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("Highlight\n" + "".join(f"Number {n}\n" for n in range(100)), encoding="utf-8")
    shown = preview(PRESETS["readwise"].source(), path, None, {"default_category": "Mine"}, Limits())
    assert [entry["index"] for entry in shown] == list(range(20))
    assert [entry["row"] for entry in shown] == list(range(2, 22))
    assert shown[19]["card"]["title"] == "Number 19"
    assert shown[0]["card"]["category"] == "Mine"
    assert len(preview(PRESETS["readwise"].source(), path, None, {}, Limits(), rows=3)) == 3


def test_a_preview_says_what_is_wrong_with_a_record(tmp_path: Path) -> None:
    path = tmp_path / "tweets.js"
    path.write_text(
        'window.YTD.tweets.part0 = [{"tweet": {}}, 7, {"tweet": {"id_str": "\\ud800"}}]', encoding="utf-8"
    )
    shown = preview(PRESETS["twitter"].source(), path, None, {}, Limits())
    assert [entry["code"] for entry in shown] == ["unreadable_row", "unreadable_row", "unstorable"]
    assert all(entry["message"] for entry in shown)


@pytest.mark.parametrize("name", ["readwise", "anki"])
def test_compressed_uploads_are_read(name: str, tmp_path: Path) -> None:
    file = {"readwise": "readwise/export.csv", "anki": "anki/notes.txt"}[name]
    path = tmp_path / "upload"
    path.write_bytes(gzip.compress((FIXTURES / file).read_bytes()))
    plain = preview(PRESETS[name].source(), FIXTURES / file, None, {}, Limits())
    assert preview(PRESETS[name].source(), path, "gzip", {}, Limits()) == plain
    assert plain


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("readwise", b"Title,Author\na,b\n"),
        ("obsidian", b"not a zip"),
        ("notion", b"PK\x03\x04 broken"),
        ("twitter", b"hello"),
        ("readwise", b"Highlight\n\xff\n"),
    ],
)
def test_a_file_of_another_kind_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    with pytest.raises(MalformedBody):
        preview(PRESETS[name].source(), path, None, {}, Limits())


@pytest.mark.parametrize("name", ["obsidian", "notion", "twitter"])
def test_failed_records_can_be_imported_again_from_their_file(name: str, tmp_path: Path) -> None:
    preset, path = PRESETS[name], tmp_path / "errors.json"
    original = tmp_path / "original"
    original.write_bytes(zipped({preset.example.file: preset.example.text.encode()}))
    records = [json.loads(record.raw) for record in preset.source().split(original, None, Limits())]
    errors = [
        {"index": 0, "row": 1, "field": None, "code": "x", "message": "y", "card": record}
        for record in records
    ]
    for text in (json.dumps({"errors": errors}), "\n".join(json.dumps(entry) for entry in errors)):
        path.write_text(text, encoding="utf-8")
        shown = preview(preset.source(), path, None, {}, Limits())
        assert [entry["card"] for entry in shown] == [preset.example.card]


def test_the_columns_that_a_file_of_failed_rows_adds_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    path.write_text(
        "_index,_row,Highlight,Title,_field,_code,_message\n0,2,text,A title,x,y,z\n", encoding="utf-8"
    )
    shown = preview(PRESETS["readwise"].source(), path, None, {}, Limits())
    assert (shown[0]["card"]["title"], shown[0]["card"]["body"]) == ("A title", "text")
    assert "metadata" not in shown[0]["card"]
