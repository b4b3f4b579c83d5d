"""Exports whose files lie in a bucket: the same answers as from a local folder."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Iterator
from uuid import UUID

import pytest
from moto.server import ThreadedMotoServer

from backend.artifacts.store import open_store
from backend.core.settings import get_settings
from backend.tests.support import hostile
from backend.tests.support.service import InProcess, done, get, send


@pytest.fixture
def bucket(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An S3 API that the settings point at."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/cards", method="PUT")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request")
    urllib.request.urlopen(request, timeout=10).close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("ARTIFACT_URL", f"s3://cards/x?endpoint=http://{host}:{port}&region=us-east-1")
    get_settings.cache_clear()
    yield
    server.stop()
    get_settings.cache_clear()


def test_a_file_in_a_bucket_is_served_whole_in_parts_by_address_and_until_it_is_gone(
    bucket: None, database: str
) -> None:
    service = InProcess(database)
    ((owner,),) = service.query("SELECT id FROM users")
    hostile.insert(UUID(str(owner)), [card | {"body": "x" * 100_000} for card in hostile.cards(80)])
    result = done(service, send(service, "/bulk/export", {"format": "ndjson"}))["result"]
    stored = list(open_store().list())
    assert [one.size for one in stored] == [result["file_size_bytes"]]
    whole = get(service, result["download_url"], headers={"Accept-Encoding": "identity"})
    assert whole.status_code == 200
    assert hashlib.sha256(whole.content).hexdigest() == result["sha256"]
    size, tag = len(whole.content), whole.headers["etag"]
    middle = get(service, result["download_url"], headers={"Range": f"bytes=5000000-{size}", "If-Range": tag})
    assert (middle.status_code, middle.content) == (206, whole.content[5_000_000:])
    assert get(service, result["download_url"], headers={"If-None-Match": tag}).status_code == 304
    address = get(service, f"{result['download_url']}-url").json()["url"]
    assert service.http.get(address).content == whole.content
    open_store().delete(stored[0].key)
    assert get(service, result["download_url"]).status_code == 410
    assert service.http.get(address).status_code == 410
