"""The artifact store on a local folder and on an S3 API: the same promises on both."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from backend.artifacts import store as artifacts
from backend.artifacts.location import locate
from backend.artifacts.store import ArtifactStore, check_key, new_key, open_store
from backend.core.errors import Unavailable
from backend.core.settings import Settings

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    request = urllib.request.Request(f"{endpoint}/cards", method="PUT")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request")
    urllib.request.urlopen(request, timeout=10).close()
    yield endpoint
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    if request.param == "local":
        return open_store(Settings(artifact_url=f"file://{tmp_path}/files"))
    endpoint = request.getfixturevalue("s3_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    prefix = f"p{os.urandom(4).hex()}"
    return open_store(Settings(artifact_url=f"s3://cards/{prefix}?endpoint={endpoint}&region=us-east-1"))


def test_what_was_put_is_read_back_with_its_size_and_digest(store: ArtifactStore) -> None:
    chunks = [os.urandom(MIB) for _ in range(20)]
    whole = b"".join(chunks)
    key = new_key("exports", "one", suffix=".json")
    put = store.put(key, iter(chunks))
    found = store.head(key)
    assert found is not None
    assert (found.size, found.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert (put.size, put.sha256, put.etag) == (found.size, found.sha256, found.etag)
    assert b"".join(store.read(key)) == whole
    assert b"".join(store.read(key, 5, 5)) == b""
    assert b"".join(store.read(key, MIB - 3, 2 * MIB + 7)) == whole[MIB - 3 : 2 * MIB + 7]
    assert b"".join(store.read(key, len(whole) - 1, len(whole) + 100)) == whole[-1:]


def test_an_empty_file_is_a_file(store: ArtifactStore) -> None:
    key = new_key("empty")
    store.put(key, [])
    found = store.head(key)
    assert found is not None
    assert found.size == 0
    assert list(store.read(key)) == []


def test_a_stream_that_fails_leaves_nothing_and_its_own_error_passes(store: ArtifactStore) -> None:
    class Stopped(OSError):
        pass

    def chunks() -> Iterator[bytes]:
        yield os.urandom(MIB)
        for _ in range(20):
            yield bytes(MIB)
        raise Stopped

    key = new_key("failing")
    with pytest.raises(Stopped):
        store.put(key, chunks())
    assert store.head(key) is None
    assert list(store.list()) == []
    with pytest.raises(FileNotFoundError):
        store.read(key)


def test_deleted_is_gone_and_deleting_again_is_fine(store: ArtifactStore) -> None:
    key = new_key("going")
    store.put(key, [b"x"])
    store.delete(key)
    store.delete(key)
    assert store.head(key) is None
    assert list(store.list()) == []


def test_lists_by_prefix_and_age_without_what_lies_beside(store: ArtifactStore) -> None:
    first, second = new_key("a", "b"), new_key("c")
    store.put(first, [b"1"])
    store.put(second, [b"22"])
    assert {listed.key: listed.size for listed in store.list()} == {first: 1, second: 2}
    assert [listed.key for listed in store.list("a")] == [first]
    assert list(store.list(older_than=datetime.now(UTC) - timedelta(hours=1))) == []
    assert len(list(store.list(older_than=datetime.now(UTC) + timedelta(hours=1)))) == 2


def test_purge_takes_what_is_old_and_no_more(store: ArtifactStore) -> None:
    key = new_key("old")
    store.put(key, [b"1"])
    assert store.purge(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.head(key) is not None
    assert store.purge(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert store.head(key) is None
    assert list(store._all("")) == []


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a\x00b", "a#1", "a b", "ä", "a" * 513],
)
def test_no_key_leads_out_of_the_store(store: ArtifactStore, key: str) -> None:
    for call in (store.head, store.read, store.delete, lambda k: store.put(k, [b""]), check_key):
        with pytest.raises(ValueError, match="not an artifact key"):
            call(key)


def test_a_killed_writer_leaves_no_file_and_purge_clears_its_debris(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from backend.artifacts.store import open_store\n"
        "from backend.core.settings import Settings\n"
        "def chunks():\n"
        "    for _ in range(40): yield os.urandom(1 << 20)\n"
        "    os.kill(os.getpid(), 9)\n"
        "open_store(Settings(artifact_url='file://' + sys.argv[1])).put('exports/x.json', chunks())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    store = open_store(Settings(artifact_url=f"file://{tmp_path}"))
    assert store.head("exports/x.json") is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.json#1"]
    store.purge(datetime.now(UTC) + timedelta(hours=1))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_digest_whose_file_never_came_is_purged(tmp_path: Path) -> None:
    store = open_store(Settings(artifact_url=f"file://{tmp_path}"))
    store._put_beside("exports/x.json", 1, "00")
    assert store.head("exports/x.json") is None
    store.purge(datetime.now(UTC) + timedelta(hours=1))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_store_that_does_not_answer_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setitem(artifacts.locate.__globals__["_RETRIES"], "max_retries", 0)
    away = open_store(Settings(artifact_url="s3://cards/x?endpoint=http://127.0.0.1:9&region=us-east-1"))
    with pytest.raises(Unavailable):
        away.head("exports/x.json")
    with pytest.raises(Unavailable):
        away.put("exports/x.json", [b"x"])


@pytest.mark.parametrize("url", ["file://host/x", "s3://cards/x?secret=1", "nowhere://x"])
def test_an_address_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(Exception, match=r"(?i)artifact_url|url|scheme"):
        locate(Settings(artifact_url=url))


def test_by_default_files_lie_in_the_data_folder(tmp_path: Path) -> None:
    store = open_store(Settings(data_dir=tmp_path / "with space"))
    store.put("exports/x.json", [b"x"])
    assert (tmp_path / "with space" / "artifacts" / "exports" / "x.json").read_bytes() == b"x"
