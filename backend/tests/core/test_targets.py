"""Where an outgoing request may go."""

from __future__ import annotations

import pytest

from backend.core.outgoing import Caps, request
from backend.core.targets import TargetRefused, parse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
QUICK = Caps(connect_seconds=1, total_seconds=1)


# --- the form of a URL --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "authority", "path"),
    [
        ("https://example.com", "example.com", "example.com", "/"),
        ("https://EXAMPLE.com:443/a?b=c#d", "example.com", "example.com", "/a?b=c"),
        ("https://example.com:8443/", "example.com", "example.com:8443", "/"),
        ("https://bücher.example/ü?ü", "xn--bcher-kva.example", "xn--bcher-kva.example", "/%C3%BC?%C3%BC"),
        ("https://[2606:4700::1]/", "2606:4700::1", "[2606:4700::1]", "/"),
        ("https://h_1.example./x%20y", "h_1.example.", "h_1.example.", "/x%20y"),
    ],
)
def test_a_url_is_read_as_browsers_read_it(url, host, authority, path):
    target = parse(url)
    assert (target.host, target.authority, target.path) == (host, authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com", "http://example.com", "ftp://example.com", "file:///etc/passwd",
        "gopher://example.com", "javascript:alert(1)", "https://", "https:///path", "https://user@example.com",
        "https://user:pass@example.com", "https://example.com@evil.example", "https://example.com:22",
        "https://example.com:6379000", "https://example.com:0", "https://example.com:x",
        "https://exa mple.com",
        "https://example.com\\@evil.example", "https://example.com/\r\nX: y", "https://exam\tple.com",
        "https://example.com/\x00", "https://[::1", "https://[fe80::1%25eth0]/", "https://[v1.x]/",
        "https://-x.example", "https://ex..ample\udcff", "https://" + "a" * 3000,
        "https://" + ".".join(["a" * 60] * 5), "https://a/" + "b" * 2048,
    ],
)  # fmt: skip
def test_a_url_of_another_form_is_refused(url):
    with pytest.raises(TargetRefused):
        parse(url)


def test_without_tls_only_where_it_is_allowed():
    assert parse("http://example.com:8080", allow_http=True).port == 8080
    with pytest.raises(TargetRefused):
        parse("ftp://example.com", allow_http=True)


# --- where it leads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "0",
        "0.0.0.0",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "100.100.100.200",
        "168.63.129.16", "①②⑦.⓪.⓪.①", "１２７.0.0.1",
    ],
)  # fmt: skip
def test_no_spelling_of_an_inner_address_gets_through(serve, host):
    server = serve(OK)
    with pytest.raises(TargetRefused):
        request("GET", f"http://{host}:{server.port}/", allow_http=True, caps=QUICK)
    assert server.connections == 0
