"""Files of failed records: well-formed whatever failed, and imported as they are once they are mended."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cards.schema import CardIn
from backend.formats.base import Limits
from backend.formats.errors_file import ErrorsFormat, Origin, write
from backend.formats.presets.registry import PRESETS
from backend.formats.registry import source_for
from backend.formats.sources import Source
from backend.tests.formats.presets.zips import FIXTURES, tree, zipped
from backend.tests.formats.reading import outcomes

FORMATS: tuple[ErrorsFormat, ...] = ("json", "ndjson", "csv", "markdown", "zip")
MEDIA = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "markdown": "text/markdown",
    "zip": "application/zip",
}
CARD = b'{"title":"A","body":"b","category":"c","privacy_level":"WRONG"}'
JSON = Origin("json", {}, {})


def file(format: ErrorsFormat, origin: Origin, *records: bytes) -> bytes:
    failures = [(index, None, "privacy_level", "code", "why", raw) for index, raw in enumerate(records)]
    return b"".join(write(format, origin, failures))


def mended(format: ErrorsFormat, data: bytes) -> bytes:
    """The file with the level put right, as an editor would; a zip is packed again."""
    if format != "zip":
        return data.replace(b"WRONG", b"IDEAS")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({name: archive.read(name).replace(b"WRONG", b"IDEAS") for name in archive.namelist()})


def read(source: Source, data: bytes, folder: Path, **options: Any) -> list[Any]:
    return [card for _, card in outcomes(source, data, folder, options=options)]


def origin_of(source: Source, data: bytes, folder: Path, **options: Any) -> tuple[Origin, list[bytes]]:
    """A file's origin and its records."""
    path = folder / "original"
    path.write_bytes(data)
    records = [record.raw for record in source.split(path, None, Limits())]
    return Origin(source.name, source.context(), options), records


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "record",
    [
        CARD,
        json.dumps(json.loads(CARD), indent=2).encode(),
        CARD[:-1] + b',"odd":1,"tags":["x"],"metadata":{"n":1.50}}',
        CARD.replace(b'"b"', b'"---\\ntitle: x\\n---\\n=1\\u2028\\r"'),
        b'{"index":0,"code":"c","message":"m","card":' + CARD + b"}",
    ],
)
def test_a_card_is_imported_from_every_format_once_it_is_mended(
    format: ErrorsFormat, record: bytes, tmp_path: Path
) -> None:
    data = mended(format, file(format, JSON, record, CARD))
    for card in read(source_for(MEDIA[format]), data, tmp_path):
        if b'"odd"' in record and format in ("json", "ndjson") and not isinstance(card, CardIn):
            assert card.code == "unknown_field"
            continue
        assert isinstance(card, CardIn), card
        assert (card.title, card.privacy_level) == ("A", "IDEAS")
        wanted = json.loads(record)
        assert card.body in ("b", wanted.get("card", wanted)["body"])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "record",
    [b"{bad", b"[1, 2]", b'{"a":1,"a":2}', b'{"title":NaN}', b"null", b'"x"', b"\xff\x00", b"[" * 99],
)
def test_what_is_no_card_is_in_a_valid_file_and_fails_again_until_it_is_mended(
    format: ErrorsFormat, record: bytes, tmp_path: Path
) -> None:
    data = file(format, Origin("ndjson", {}, {}), record, CARD)
    if format == "json":
        assert [entry["index"] for entry in json.loads(data)["errors"]] == [0, 1]
    found = read(source_for(MEDIA[format]), mended(format, data), tmp_path)
    assert [isinstance(card, CardIn) for card in found] == [False, True]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(records=st.lists(st.binary(max_size=30) | st.text(max_size=30).map(lambda t: json.dumps(t).encode())))
def test_every_file_is_well_formed_whatever_failed(tmp_path: Path, records: list[bytes]) -> None:
    origin = Origin("ndjson", {}, {})
    assert len(json.loads(file("json", origin, *records))["errors"]) == len(records)
    lines = file("ndjson", origin, *records).split(b"\n")[:-1]
    assert [json.loads(line)["index"] for line in lines] == list(range(len(records)))
    rows = list(csv.DictReader(io.StringIO(file("csv", origin, *records).decode(), newline="")))
    assert [row["_index"] for row in rows] == [str(index) for index in range(len(records))]
    assert len(read(source_for("text/markdown"), file("markdown", origin, *records), tmp_path)) == len(
        records
    )


def test_rows_come_back_with_the_columns_that_were_sent_and_cells_beyond_them(tmp_path: Path) -> None:
    sent = b'Title;text;odd\n\'=A;"a\nb";x\nB;c;y;too many\n'
    origin, records = origin_of(source_for("text/csv"), sent, tmp_path)
    data = file("csv", origin, *records)
    assert data == (
        b"Title,text,odd,_index,_row,_field,_code,_message\r\n"
        b'\'=A,"a\nb",x,0,,privacy_level,code,why\r\n'
        b"B,c,y,1,,privacy_level,code,why,too many\r\n"
    )
    first, second = read(source_for("text/csv"), data, tmp_path)
    assert (first.title, first.body, bytes(first.metadata)) == ("=A", "a\nb", b'{"odd": "x"}')
    assert second.message == "has 4 cells, the header has 3"


def test_documents_come_back_as_they_were_with_why_among_their_properties(tmp_path: Path) -> None:
    texts = {
        "N/A.md": "---\r\nprivacy_level: WRONG\r\nmood: [calm]\r\n---\r\nBody\r\n",
        "B.md": "no properties\n\n---\nat all",
        "C.md": "---\nbroken: [\n---\nx",
    }
    origin, records = origin_of(
        source_for("application/zip"), zipped({name: text.encode() for name, text in texts.items()}), tmp_path
    )
    data = file("zip", origin, *records)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == list(texts)
        assert archive.read("N/A.md") == (
            b'---\r\n_index: 0\n_row: null\n_field: "privacy_level"\n_code: "code"\n_message: "why"\n'
            b"privacy_level: WRONG\r\nmood: [calm]\r\n---\r\nBody\r\n"
        )
    again = read(source_for("application/zip"), mended("zip", data), tmp_path)
    assert [(card.title, card.category, card.body) for card in again] == [
        ("A", "N", "Body"), ("B", "IMPORTED", texts["B.md"]), ("C", "IMPORTED", texts["C.md"]),
    ]  # fmt: skip
    assert bytes(again[0].metadata) == b'{"mood": ["calm"]}'


def test_what_an_import_was_told_is_in_the_cards_that_are_shown(tmp_path: Path) -> None:
    text = b"---\nprivacy_level: WRONG\n---\nText\n"
    origin, records = origin_of(source_for("text/markdown"), text, tmp_path, default_category="Mine")
    (card,) = read(source_for("application/json"), mended("json", file("json", origin, *records)), tmp_path)
    assert (card.title, card.category, card.privacy_level) == ("Text", "Mine", "IDEAS")


SENT = {
    "readwise": ("readwise/export.csv", None),
    "anki": ("anki/notes.txt", None),
    "obsidian": (None, "vault"),
    "notion": (None, "notion"),
    "twitter": (None, "twitter"),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", list(PRESETS))
def test_a_presets_records_are_imported_from_every_format(
    name: str, format: ErrorsFormat, tmp_path: Path
) -> None:
    """With the preset as before; as Markdown, and as zip but for Obsidian's, without it."""
    path, folder = SENT[name]
    data = (FIXTURES / path).read_bytes() if path else zipped(tree(folder or ""))
    source = PRESETS[name].source()
    expected = read(source, data, tmp_path)
    origin, records = origin_of(PRESETS[name].source(), data, tmp_path)
    cards_only = format == "markdown" or (format == "zip" and name != "obsidian")
    again = source_for(MEDIA[format]) if cards_only else PRESETS[name].source()
    found = read(again, file(format, origin, *records), tmp_path)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, CardIn), one
        for field in (
            "title",
            "body",
            "category",
            "privacy_level",
            "external_id",
            "source_url",
            "created_at",
        ):
            assert getattr(one, field) == getattr(other, field), field
        assert (one.tags or []) == (other.tags or [])
