"""The wall around outgoing requests, against real servers, real TLS and a resolver that lies."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backend.core import outgoing
from backend.core.outgoing import AnswerTooLarge, Caps, request, stream
from backend.core.targets import OutgoingFailed, TargetRefused
from backend.tests.support.tcp_server import Server, lie

LOCAL = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
QUICK = Caps(connect_seconds=1, total_seconds=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def get(server: Server, path: str = "/", **options) -> outgoing.Answer:
    options = {"allow": LOCAL, "allow_http": True, "caps": QUICK} | options
    return request("GET", f"http://127.0.0.1:{server.port}{path}", **options)


def test_one_inner_address_among_public_ones_refuses_the_name(monkeypatch):
    lie(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(TargetRefused):
        request("GET", "https://example.com/")


def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(monkeypatch, serve):
    """DNS rebinding: asked once, and the connection goes to the address of that answer."""
    inner = serve(OK)
    asked = lie(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    only = (ipaddress.ip_network("127.0.0.2/32"),)
    with pytest.raises(OutgoingFailed):  # nobody listens on 127.0.0.2
        request("GET", f"http://rebind.example:{inner.port}/", allow=only, allow_http=True, caps=QUICK)
    assert asked.count("rebind.example") == 1
    assert inner.connections == 0


def test_the_name_stands_in_host_although_the_connection_goes_to_an_address(monkeypatch, serve):
    server = serve(OK)
    lie(monkeypatch, ["127.0.0.1"])
    url = f"http://hooks.example:{server.port}/a?b"
    assert request("GET", url, allow=LOCAL, allow_http=True).body == b"hi"
    assert server.received[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert f"Host: hooks.example:{server.port}".encode() in server.received[0]


def test_the_next_address_is_tried_when_one_is_dead(monkeypatch, serve):
    server = serve(OK)
    lie(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    assert request("GET", f"http://x.example:{server.port}/", allow=LOCAL, allow_http=True).status == 200


def test_a_redirect_is_an_answer_and_is_not_followed(serve):
    inner = serve(OK)
    location = f"Location: http://127.0.0.1:{inner.port}/\r\n".encode()
    server = serve(b"HTTP/1.1 302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n")
    answer = get(server)
    assert answer.status == 302
    assert inner.connections == 0


def test_proxies_of_the_environment_are_not_used(monkeypatch, serve):
    proxy, server = serve(OK), serve(OK)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert get(server).status == 200
    assert (proxy.connections, server.connections) == (0, 1)


# --- what is sent -------------------------------------------------------------------------------------------


def test_a_body_arrives_whole_with_its_length(serve):
    server = serve(OK)
    body = b"x" * 3_000_000
    answer = request(
        "POST", f"http://127.0.0.1:{server.port}/hook", headers=[("Content-Type", "application/json")],
        body=body, allow=LOCAL, allow_http=True,
    )  # fmt: skip
    assert answer.status == 200
    head, _, sent = server.received[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"Content-Length: 3000000" in head
    assert b"Accept-Encoding: identity" in head


@pytest.mark.parametrize(
    "headers",
    [[("Host", "x")], [("content-length", "1")], [("X", "a\r\nY: b")], [("X\r\nY", "a")], [("X", "a\0")]],
)
def test_headers_cannot_smuggle(serve, headers):
    server = serve(OK)
    with pytest.raises(ValueError, match=r"set here|not valid HTTP"):
        get(server, headers=headers)
    assert server.received == []


# --- caps ---------------------------------------------------------------------------------------------------


def drip(data: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    def respond(connection: socket.socket) -> None:
        for number in range(len(data)):
            connection.sendall(data[number : number + 1])
            time.sleep(pause)

    return respond


@pytest.mark.parametrize(
    "respond",
    [
        lambda connection: time.sleep(10),
        drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000, 0.02),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.01),
    ],
    ids=["silence", "dripping head", "dripping body", "endless interim answers"],
)
def test_a_slow_answer_ends_at_the_deadline(serve, respond):
    started = time.monotonic()
    with pytest.raises(OutgoingFailed, match="too long"):
        get(serve(respond))
    assert time.monotonic() - started < 1.6


def test_a_slow_reader_ends_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel accepts; nobody reads
        started = time.monotonic()
        with pytest.raises(OutgoingFailed, match="too long"):
            request(
                "POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", body=b"x" * 50_000_000,
                allow=LOCAL, allow_http=True, caps=QUICK,
            )  # fmt: skip
        assert time.monotonic() - started < 1.6


def test_a_slow_resolver_ends_at_the_deadline(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(5) or [])
    started = time.monotonic()
    with pytest.raises(OutgoingFailed, match="in time"):
        request("GET", "https://slow.example/", caps=QUICK)
    assert time.monotonic() - started < 1.6


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1f5\r\n" + b"x" * 501 + b"\r\n") * 2,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,
    ],
    ids=["declared", "declared absurdly", "chunked", "until closed"],
)  # fmt: skip
def test_an_answer_over_the_cap_is_cut(serve, answer):
    with pytest.raises(AnswerTooLarge):
        get(serve(answer), caps=Caps(answer_bytes=1000, total_seconds=2))


def test_an_answer_of_just_the_cap_is_read(serve):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
    assert len(get(serve(answer), caps=Caps(answer_bytes=1000)).body) == 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"+PONG\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01\x00\x00",
    ],
)  # fmt: skip
def test_what_is_not_whole_http_is_a_failure_not_a_crash(serve, answer):
    with pytest.raises(OutgoingFailed):
        get(serve(answer))


def test_nobody_listening_is_a_failure_that_can_pass():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(OutgoingFailed) as failed:
            request(
                "GET", f"http://127.0.0.1:{free.getsockname()[1]}/", allow=LOCAL, allow_http=True, caps=QUICK
            )
    assert failed.value.transient
    assert not TargetRefused.transient


def test_a_compressed_answer_is_not_unpacked(serve):
    import gzip

    bomb = gzip.compress(b"\0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    assert get(serve(head + bomb)).body == bomb


def test_a_stream_comes_in_blocks_and_keeps_the_caps(serve):
    server = serve(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000)
    url = f"http://127.0.0.1:{server.port}/"
    with stream("GET", url, allow=LOCAL, allow_http=True, caps=Caps(answer_bytes=1_000_000)) as answer:
        blocks = list(answer.blocks)
    assert sum(map(len, blocks)) == 300_000
    assert len(blocks) > 1
    with (
        pytest.raises(AnswerTooLarge),
        stream("GET", url, allow=LOCAL, allow_http=True, caps=Caps(answer_bytes=1000)) as answer,
    ):
        list(answer.blocks)


# --- TLS ----------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for ``name``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, ssl.create_default_context(cafile=str(pem))


def test_tls_is_checked_against_the_name_and_the_name_is_sent(monkeypatch, serve, tmp_path):
    server_side, client_side = certificate(tmp_path, "hooks.example")
    server = serve(OK, tls=server_side)
    lie(monkeypatch, ["127.0.0.1"])
    options = {"allow": LOCAL, "caps": QUICK}
    answer = request("GET", f"https://hooks.example:{server.port}/", tls=client_side, **options)
    assert answer.body == b"hi"
    assert server.names == ["hooks.example"]
    with pytest.raises(OutgoingFailed, match="TLS"):
        request("GET", f"https://other.example:{server.port}/", tls=client_side, **options)
    with pytest.raises(OutgoingFailed, match="TLS"):
        request("GET", f"https://hooks.example:{server.port}/", **options)
    assert len(server.received) == 1


def test_a_tls_handshake_that_never_ends_is_cut(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lie(monkeypatch, ["127.0.0.1"])
        started = time.monotonic()
        with pytest.raises(OutgoingFailed, match="too long"):
            request("GET", f"https://x.example:{listener.getsockname()[1]}/", allow=LOCAL, caps=QUICK)
        assert time.monotonic() - started < 1.6
