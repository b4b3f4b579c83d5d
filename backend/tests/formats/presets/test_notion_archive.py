"""What a Notion export yields, record by record."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from backend.formats.presets.notion_archive import notion_records
from backend.tests.formats.presets.zips import tree, zipped

DATABASE = "Reading list 0f1e2d3c4b5a69788796a5b4c3d2e1f0"


class Files:
    """An archive over a zip in memory."""

    def __init__(self, data: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(data))

    def names(self) -> list[str]:
        return self._zip.namelist()

    def open(self, name: str) -> BinaryIO:
        return self._zip.open(name)  # type: ignore[return-value]


@contextmanager
def open_part(archive: Any, name: str) -> Iterator[Files]:
    with archive.open(name) as stream:
        yield Files(stream.read())


def records(data: bytes, longest: int = 100_000) -> list[dict[str, Any]]:
    return list(notion_records(Files(data), open_part, longest))


def test_a_row_with_a_page_comes_once_and_from_its_page() -> None:
    found = records(zipped(tree("notion")))
    paths = [record["path"] for record in found]
    assert sorted(paths) == sorted(
        [
            f"{DATABASE}/Dune 00112233445566778899aabbccddeeff.md",
            "Home a1b2c3d4e5f60718293a4b5c6d7e8f90.md",
            "Home a1b2c3d4e5f60718293a4b5c6d7e8f90/Ideas ffeeddccbbaa99887766554433221100.md",
            "Home a1b2c3d4e5f60718293a4b5c6d7e8f90/Untitled 12345678123456781234567812345678.md",
            *[f"{DATABASE}_all.csv"] * 3,
        ]
    )
    page = next(record for record in found if "Dune" in record["path"])
    assert page["columns"] == ["Name", "Tags", "Status", "Created time", "URL", "Score", "Notes"]
    rows = [record["row"][0] for record in found if "row" in record]
    assert rows == ["A title, with a comma\nand a line break", "كتاب الرمل", ""]


def test_the_parts_inside_an_export_are_read_like_the_export() -> None:
    inner = zipped(tree("notion"))
    outer = zipped(
        {"Export-8f14e45f-Part-1.zip": inner, "Export-8f14e45f-Part-2.zip": zipped({"B.md": b"# B"})}
    )
    assert records(outer) == [*records(inner), {"path": "B.md", "text": "# B"}]


def test_a_zip_inside_of_a_part_is_an_attachment() -> None:
    part = zipped({"a.md": b"# A", "attachment.zip": zipped({"never.md": b"x"})})
    assert [record["path"] for record in records(zipped({"Export-1-Part-1.zip": part}))] == ["a.md"]


def test_two_rows_of_one_title_and_one_page_keep_one_row() -> None:
    found = records(zipped({"D_all.csv": b"Name,N\nSame,1\nSame,2\n", "D/Same.md": b"# Same\n\nN: 1\n"}))
    assert [record.get("row") for record in found] == [None, ["Same", "2"]]


def test_a_page_that_cannot_be_read_does_not_fail_the_others() -> None:
    found = records(zipped({"a.md": b"\xff\xfe", "b.md": b"fine", "c.md": b"x" * 101}), longest=100)
    assert found == [
        {"path": "a.md", "unreadable": "The page is not UTF-8"},
        {"path": "b.md", "text": "fine"},
        {"path": "c.md", "unreadable": "The page is too long"},
    ]
