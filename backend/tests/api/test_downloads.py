"""Downloads and streamed exports over HTTP."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from backend.api.routes import downloads as routes
from backend.artifacts.store import open_store
from backend.core.settings import get_settings
from backend.db.session import get_engine
from backend.operations import downloads
from backend.tests.support import hostile
from backend.tests.support.service import InProcess, get, send

CARDS = 30


@pytest.fixture
def service(database: str) -> InProcess:
    made = InProcess(database)
    hostile.insert(_owner(made), hostile.cards(CARDS))
    return made


def _owner(service: InProcess) -> UUID:
    return UUID(str(service.query("SELECT id FROM users ORDER BY created_at DESC LIMIT 1")[0][0]))


def export(service: InProcess, **options: Any) -> dict[str, Any]:
    accepted = send(service, "/bulk/export", options)
    assert accepted.status_code == 202, accepted.text
    final = service.finished(accepted.json()["task_id"])
    assert final["status"] == "SUCCESS", final
    return final


def test_the_file_arrives_whole_with_its_digest(service: InProcess) -> None:
    final = export(service, format="ndjson")
    result = final["result"]
    answer = get(service, result["download_url"], headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    data = answer.content
    assert data.count(b"\n") == result["cards_exported"] == CARDS
    assert answer.headers["content-length"] == str(len(data)) == str(result["file_size_bytes"])
    digest = hashlib.sha256(data)
    assert digest.hexdigest() == result["sha256"]
    encoded = base64.b64encode(digest.digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{encoded}:"
    assert answer.headers["digest"] == f"SHA-256={encoded}"
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith('attachment; filename="extrophi-cards-')
    assert "artifact" not in result


def test_ranges_put_together_are_the_file(service: InProcess) -> None:
    url = export(service, format="csv")["result"]["download_url"]
    whole = get(service, url)
    half = len(whole.content) // 2
    first = get(service, url, headers={"Range": f"bytes=0-{half - 1}"})
    second = get(service, url, headers={"Range": f"bytes={half}-", "If-Range": whole.headers["etag"]})
    assert (first.status_code, second.status_code) == (206, 206)
    assert first.content + second.content == whole.content
    assert second.headers["content-range"] == f"bytes {half}-{len(whole.content) - 1}/{len(whole.content)}"
    stale = get(service, url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, whole.content)
    beyond = get(service, url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


def test_who_has_it_is_not_sent_it_again(service: InProcess) -> None:
    url = export(service)["result"]["download_url"]
    tag = get(service, url).headers["etag"]
    again = get(service, url, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_head_tells_size_and_digest_without_the_file(service: InProcess) -> None:
    url = export(service)["result"]["download_url"]
    whole = get(service, url, headers={"Accept-Encoding": "identity"})
    head = service.http.head(url, headers=service.headers)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "repr-digest", "content-type"):
        assert head.headers[name] == whole.headers[name]


def test_a_compressed_file_is_sent_as_it_is_stored(service: InProcess) -> None:
    url = export(service, format="json", compression="gzip")["result"]["download_url"]
    answer = get(service, url)
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers
    assert len(json.loads(gzip.decompress(answer.content))) == CARDS


def test_a_signed_address_needs_no_key_and_expires(service: InProcess) -> None:
    final = export(service)
    operation = UUID(final["task_id"])
    asked = get(service, f"/bulk/operations/{operation}/download-url?seconds=60")
    assert asked.headers["cache-control"] == "no-store"
    given = asked.json()
    left = datetime.fromisoformat(given["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    signed = given["url"]
    assert service.http.get(signed).content == get(service, final["result"]["download_url"]).content
    part = service.http.get(signed, headers={"Range": "bytes=0-4"})
    assert (part.status_code, len(part.content)) == (206, 5)
    refused = [
        signed[:-1] + ("0" if signed[-1] != "0" else "1"),
        signed.replace("expires=", "expires=9"),
        downloads.signed_download_url(operation, int(time.time()) - 5),
        signed.replace(str(operation), str(UUID(int=operation.int ^ 1 << 24))),
        f"{downloads.download_url(operation)}?signature=é&expires=1",
        f"{downloads.download_url(operation)}?signature=&expires=",
    ]
    for address in refused:
        assert service.http.get(address).status_code == 403, address
    assert service.http.get(downloads.download_url(operation)).status_code == 401


@pytest.mark.parametrize("seconds", ["0", "-1", "604801", "x", "9" * 30])
def test_a_signed_address_is_given_for_a_week_at_most(service: InProcess, seconds: str) -> None:
    url = export(service)["result"]["download_url"]
    assert get(service, f"{url}-url?seconds={seconds}").status_code == 422


def test_only_the_owner_of_a_file_that_is_there_is_given_an_address(service: InProcess) -> None:
    waiting = send(service, "/bulk/export", {}).json()["task_id"]
    address = f"/bulk/operations/{waiting}/download-url"
    assert get(service, address).status_code == 409
    service.finished(waiting)
    assert get(service, address).status_code == 200
    assert service.http.get(address, headers=service.new_user()).status_code == 404
    assert service.http.get(address).status_code == 401


def test_nobody_else_may_have_it(service: InProcess) -> None:
    url = export(service)["result"]["download_url"]
    other = service.http.get(url, headers=service.new_user())
    unknown = get(service, url.replace("-", "0", 1).replace("/bulk0operations", "/bulk/operations"))
    assert (other.status_code, unknown.status_code) == (404, 404)
    assert other.json()["detail"] == unknown.json()["detail"]


def test_what_is_not_there_yet_or_never_or_no_more(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = send(service, "/bulk/export", {}).json()["task_id"]
    assert get(service, f"/bulk/operations/{waiting}/download").status_code == 409
    service.finished(waiting)
    url = f"/bulk/operations/{waiting}/download"
    assert get(service, url).status_code == 200
    imported = send(
        service,
        "/bulk/import",
        {"cards": [{"title": "t", "body": "b", "category": "c", "privacy_level": "PRIVATE"}]},
    ).json()["task_id"]
    assert get(service, f"/bulk/operations/{imported}/download").status_code == 404
    monkeypatch.setenv("ARTIFACT_RETENTION_SECONDS", "0")
    get_settings.cache_clear()
    assert get(service, url).status_code == 410
    monkeypatch.delenv("ARTIFACT_RETENTION_SECONDS")
    get_settings.cache_clear()
    for listed in list(open_store().list()):
        open_store().delete(listed.key)
    gone = get(service, url)
    assert (gone.status_code, gone.headers["content-type"]) == (410, "application/problem+json")


def test_a_cancelled_export_has_no_file(service: InProcess) -> None:
    waiting = send(service, "/bulk/export", {}).json()["task_id"]
    assert send(service, f"/bulk/operations/{waiting}/cancel").status_code == 200
    assert get(service, f"/bulk/operations/{waiting}/download").status_code == 409


@pytest.mark.parametrize("name", ["json", "ndjson", "csv", "markdown", "zip"])
@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_cards_stream_as_the_same_file(service: InProcess, name: str, compression: str | None) -> None:
    options = {"format": name} | ({"compression": compression} if compression else {})
    streamed = get(service, "/cards/export", params=options, headers={"Accept-Encoding": "identity"})
    assert streamed.status_code == 200, streamed.text
    url = export(service, **options)["result"]["download_url"]
    stored = get(service, url, headers={"Accept-Encoding": "identity"})
    assert streamed.headers["content-type"] == stored.headers["content-type"]
    if name == "zip" and compression is None:  # its entries carry the time of writing
        one, other = (zipfile.ZipFile(io.BytesIO(answer.content)) for answer in (streamed, stored))
        assert [one.read(entry) for entry in one.namelist()] == [
            other.read(entry) for entry in other.namelist()
        ]
    elif name != "zip":
        assert streamed.content == stored.content


def test_a_stream_is_compressed_as_negotiated(service: InProcess) -> None:
    plain = get(service, "/cards/export?format=csv", headers={"Accept-Encoding": "identity"})
    packed = get(service, "/cards/export?format=csv", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content  # the client has unpacked it
    refused = get(service, "/cards/export?format=csv", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


def test_a_stream_filters_and_continues_from_its_watermark(service: InProcess) -> None:
    ids = [row["id"] for row in get(service, "/cards/export").json()]
    some = get(service, "/cards/export", params={"card_ids": ids[:2], "include_metadata": "false"})
    assert [row["id"] for row in some.json()] == ids[:2]
    assert "metadata" not in some.json()[0]
    mark = some.headers[routes.WATERMARK]
    assert get(service, "/cards/export", params={"since": mark}).json() == []
    assert send(service, "/bulk/export", {"since": mark}).status_code == 202


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("format=xml", 400),
        ("categorys=x", 422),
        ("privacy_levels=SECRET", 422),
        ("card_ids=x", 422),
        ("created_after=soon", 422),
        ("since=x", 422),
        ("compression=br", 422),
        ("published_only=maybe", 422),
    ],
)
def test_wrong_queries_are_refused_before_anything_streams(
    service: InProcess, query: str, status: int
) -> None:
    answer = get(service, f"/cards/export?{query}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_watermark_of_another_database_is_gone(service: InProcess) -> None:
    from backend.cards.watermark import Watermark

    token = Watermark("0" * 16, "1:1:").token()
    assert get(service, "/cards/export", params={"since": token}).status_code == 410
    assert send(service, "/bulk/export", {"since": token}).status_code == 410


def test_streams_leave_connections_for_others(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [routes._slots.acquire(blocking=False) for _ in range(routes.STREAMS_AT_ONCE)]
    assert all(taken)
    try:
        refused = get(service, "/cards/export")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    finally:
        for _ in taken:
            routes._slots.release()
    for _ in range(2 * routes.STREAMS_AT_ONCE):
        assert get(service, "/cards/export").status_code == 200
    assert get_engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_without_the_scope_there_is_nothing(service: InProcess) -> None:
    assert service.http.get("/cards/export").status_code == 401
