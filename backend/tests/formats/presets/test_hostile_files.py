"""Archives made to harm are refused, fast, and large files are read with flat memory."""

import io
import json
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from backend.core.errors import MalformedBody, PayloadTooLarge
from backend.formats.base import Limits
from backend.formats.presets.registry import PRESETS
from backend.tests.formats.presets.zips import zipped

ARCHIVES = ["obsidian", "notion", "twitter"]
NAMES = {"obsidian": "a.md", "notion": "a.md", "twitter": "data/tweets.js"}


def split(name: str, path: Path, limits: Limits | None = None) -> int:
    return sum(1 for _ in PRESETS[name].source().split(path, None, limits or Limits()))


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("evil", ["../a.md", "/etc/a.md", "a/../../b.md", "C:\\a.md", "..\\a.md"])
def test_names_that_lead_out_are_refused(name: str, evil: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    path.write_bytes(zipped({NAMES[name]: b"[]", evil: b"x"}))
    with pytest.raises(MalformedBody, match="leads out"):
        split(name, path)


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_bomb_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(NAMES[name], "w", force_zip64=True) as out,
    ):
        for _ in range(300):
            out.write(bytes(1_000_000))
    began = time.perf_counter()
    with pytest.raises(PayloadTooLarge):
        split(name, path)
    assert time.perf_counter() - began < 1


def test_a_bomb_inside_of_a_part_is_refused(tmp_path: Path) -> None:
    inner = zipped({"a.md": bytes(50_000_000)})
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"Export-1-Part-1.zip": inner}))
    with pytest.raises(PayloadTooLarge):
        split("notion", path)


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.md": bytes(20_000_000)}))
    size = (20_000_000).to_bytes(4, "little")
    assert data.count(size) == 2
    path = tmp_path / "lie.zip"
    path.write_bytes(bytes(data).replace(size, (10).to_bytes(4, "little")))
    with pytest.raises((MalformedBody, PayloadTooLarge)):
        split("obsidian", path)


@pytest.mark.parametrize("name", ARCHIVES)
def test_encryption_is_refused(name: str, tmp_path: Path) -> None:
    data = bytearray(zipped({NAMES[name]: b"secret"}))
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    path = tmp_path / "secret.zip"
    path.write_bytes(data)
    with pytest.raises(MalformedBody, match="encrypted"):
        split(name, path)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(zipped({f"{n}.md": b"" for n in range(11)}))
    with pytest.raises(PayloadTooLarge):
        split("obsidian", path, Limits(max_entries=10))


def test_links_in_an_archive_are_left_out(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.md")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.md", "note")
    path = tmp_path / "links.zip"
    path.write_bytes(out.getvalue())
    assert split("obsidian", path) == 1


def test_a_long_csv_is_read_with_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", encoding="utf-8") as out:
        out.write("Highlight,Title,Author,URL,Note,Location,Date\n")
        for number in range(100_000):
            out.write(
                f'"Highlight {number}, two\nlines",Title,Author,https://example.com/{number},,{number},2024-01-05\n'
            )
    tracemalloc.start()
    assert split("readwise", path) == 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_long_archive_of_tweets_is_read_with_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "twitter.zip"
    tweet = json.dumps({"tweet": {"id_str": "1", "full_text": "x" * 200, "entities": {"urls": []}}})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open("data/tweets.js", "w") as out,
    ):
        out.write(b"window.YTD.tweets.part0 = [" + tweet.encode())
        for _ in range(49_999):
            out.write(b",\n" + tweet.encode())
        out.write(b"]")
    tracemalloc.start()
    assert split("twitter", path) == 50_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
