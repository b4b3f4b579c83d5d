"""Downloads: whole and right, or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat

import pytest

from backend.client import errors
from backend.tests.client.conftest import KEY
from backend.tests.client.server import Handler, cuts, refuses, serving

DATA = os.urandom(1_000_000)
SHA256 = hashlib.sha256(DATA)


def digest(data: bytes) -> str:
    return "SHA-256=" + base64.b64encode(hashlib.sha256(data).digest()).decode()


class Storage:
    """Serves ``data`` with ranges, and cuts the answers after ``cut_after`` bytes each, in turn."""

    def __init__(self, data: bytes, cut_after: list[int]) -> None:
        self.data = data
        self.cut_after = cut_after
        self.headers = {
            "ETag": '"v1"',
            "Digest": digest(data),
            "Content-Disposition": 'attachment; filename="cards.json"',
        }
        self.has_ranges = True

    def __call__(self, handler: Handler) -> None:
        cut = self.cut_after.pop(0) if self.cut_after else None
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and self.has_ranges and handler.headers.get("If-Range") == self.headers["ETag"]:
            start = int(asked[1])
            span = {"Content-Range": f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"}
            handler.answer(206, self.headers | span, self.data[start:], sent=cut)
        else:
            handler.answer(200, self.headers, self.data, sent=cut)


@pytest.fixture
def storage(server):
    step = Storage(DATA, [])
    server.then(step)
    return step


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole(call, server, storage, tmp_path):
    reports = []
    found = call(
        "download",
        "t-1",
        tmp_path / "out.json",
        sha256=SHA256.hexdigest(),
        on_progress=lambda *at: reports.append(at),
    )
    assert (tmp_path / "out.json").read_bytes() == DATA
    assert (found.bytes, found.sha256, found.file_name) == (len(DATA), SHA256.hexdigest(), "cards.json")
    assert leftovers(tmp_path) == ["out.json"]
    assert reports[-1] == (len(DATA), len(DATA))
    assert server.seen[0].headers["accept-encoding"] == "identity"
    assert server.seen[0].path == "/bulk/operations/t-1/download"


def test_it_gets_the_permissions_of_a_new_file(call, storage, tmp_path):
    call("download", "t-1", tmp_path / "out")
    (tmp_path / "other").touch()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "other").stat().st_mode
    )


def test_a_cut_download_goes_on_where_it_was_cut(call, server, storage, tmp_path):
    storage.cut_after = [400_000, 1, 300_000]
    call("download", "t-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    asked = [one.headers.get("range") for one in server.seen]
    assert asked[0] is None
    assert len(asked) == 4
    starts = [int(re.findall(r"\d+", one)[0]) for one in asked[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert all(one.headers["if-range"] == '"v1"' for one in server.seen[1:])


def test_more_cuts_than_retries_are_fine_while_there_is_progress(call, server, storage, tmp_path):
    storage.cut_after = [70_000] * 10
    call("download", "t-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert len(server.seen) == 11


def test_without_ranges_it_starts_again(call, storage, tmp_path):
    storage.has_ranges = False
    storage.cut_after = [500_000]
    call("download", "t-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_starts_again(call, server, storage, tmp_path):
    def changed(handler: Handler) -> None:
        storage.data, storage.headers = (
            b"new" * 1000,
            storage.headers | {"ETag": '"v2"', "Digest": digest(b"new" * 1000)},
        )
        storage(handler)

    storage.cut_after = [500_000]
    server.steps[:] = [storage, changed, storage]
    call("download", "t-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new" * 1000


def test_a_range_that_is_refused_starts_again(call, server, storage, tmp_path):
    storage.cut_after = [500_000]
    server.steps[:] = [storage, refuses(416, "range", "No such range"), storage]
    call("download", "t-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_wrong_digest_leaves_nothing_behind(call, storage, tmp_path):
    storage.headers["Digest"] = digest(b"other")
    (tmp_path / "out").write_text("the old one")
    with pytest.raises(errors.DownloadFailed):
        call("download", "t-1", tmp_path / "out")
    assert leftovers(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "the old one"


@pytest.mark.parametrize("name", ["Repr-Digest", "Digest"])
def test_both_digest_fields_are_understood(call, storage, tmp_path, name):
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    storage.headers = {
        "ETag": '"v1"',
        name: f"sha-256=:{wrong}:" if name == "Repr-Digest" else f"SHA-256={wrong}",
    }
    with pytest.raises(errors.DownloadFailed):
        call("download", "t-1", tmp_path / "out")


def test_the_expected_sha256_of_the_result_is_checked_too(call, storage, tmp_path):
    storage.headers = {"ETag": '"v1"'}
    with pytest.raises(errors.DownloadFailed):
        call("download", "t-1", tmp_path / "out", sha256="00" * 32)
    assert leftovers(tmp_path) == []


def test_a_server_that_always_cuts_is_given_up_and_nothing_is_left(call, server, storage, tmp_path):
    server.steps[:] = [storage, cuts]
    storage.cut_after = [500_000]
    with pytest.raises(errors.ConnectionFailed):
        call("download", "t-1", tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_an_expired_file_is_gone(call, server, tmp_path):
    server.then(refuses(410, "gone", "The file's retention is over"))
    with pytest.raises(errors.Gone, match="retention"):
        call("download", "t-1", tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_a_folder_gets_the_servers_name(call, storage, tmp_path):
    assert call("download", "t-1", tmp_path).file_name == "cards.json"
    assert leftovers(tmp_path) == ["cards.json"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a\\..\\b", "\x1b[2Jx", ".bashrc"])
def test_a_hostile_name_stays_in_the_folder(call, storage, tmp_path, name):
    storage.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    folder = tmp_path / "inner"
    folder.mkdir()
    call("download", "t-1", folder)
    assert leftovers(tmp_path) == ["inner"]
    (made,) = leftovers(folder)
    assert re.fullmatch(r"[\w\[ -][\w.\[ -]*", made)


def test_the_key_does_not_follow_a_redirect_to_another_server(call, server, storage, tmp_path):
    with serving() as elsewhere:
        elsewhere.then(storage)
        server.steps[:] = [
            lambda handler: handler.answer(307, {"Location": elsewhere.url + "/signed?s=1"}, b"")
        ]
        call("download", "t-1", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == DATA
        assert elsewhere.seen[0].query == {"s": ["1"]}
        assert "authorization" not in elsewhere.seen[0].headers
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_download_that_is_interrupted_leaves_nothing(call, storage, tmp_path):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call("download", "t-1", tmp_path / "out", on_progress=stop)
    assert leftovers(tmp_path) == []


def test_an_errors_file_is_downloaded_in_the_format_asked_for(call, server, storage, tmp_path):
    call("download_errors", "t-1", tmp_path / "fix.csv", format="csv")
    assert (server.seen[0].path, server.seen[0].query) == ("/bulk/operations/t-1/errors", {"format": ["csv"]})
    assert (tmp_path / "fix.csv").read_bytes() == DATA
