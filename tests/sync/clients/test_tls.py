"""The same promises over TLS: the certificate is checked, and the deadline cuts there too."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from billing_console import errors
from sync.clients.answers import error_class_for
from sync.clients.http import JsonClient
from tests.sync.clients.scripted import reply


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


class TlsServer:
    """Answers the first request of each connection at once, a path with "slow" one byte at a time."""

    def __init__(self, certificate: Path) -> None:
        self.requests = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/api/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()
            except OSError:
                return

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as sock:
                request = sock.recv(65_536)
                self.requests += 1
                if b"slow" not in request:
                    sock.sendall(reply(200, {"a": 1}, {"Connection": "close"}))
                    return
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n")
                for _ in range(100):
                    time.sleep(0.05)
                    sock.sendall(b" ")
        except OSError:
            return


@pytest.fixture
def server(certificate: Path) -> Iterator[TlsServer]:
    """A server with that certificate."""
    running = TlsServer(certificate)
    yield running
    running.stop()


def client_of(url: str, deadline_seconds: float = 5) -> JsonClient:
    return JsonClient(
        url,
        upstream="taiga",
        classify=lambda answer: error_class_for(answer.status),
        deadline_seconds=deadline_seconds,
    )


def test_a_certificate_that_nobody_signed_is_not_accepted_and_nothing_is_sent(server):
    with pytest.raises(errors.Unreachable) as caught:
        client_of(server.url).call("POST", "/things", body={})
    assert "certificate" in caught.value.sentence
    assert not caught.value.is_outcome_unknown
    assert server.requests == 0


def test_an_authority_of_ones_own_is_taken_from_the_environment(server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert client_of(server.url).call("GET", "/things").data == {"a": 1}


def test_a_certificate_of_another_host_is_not_accepted(server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(errors.Unreachable) as caught:
        client_of(server.url.replace("127.0.0.1", "localhost")).call("POST", "/things", body={})
    assert "certificate" in caught.value.sentence
    assert server.requests == 0


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_authorities_that_cannot_be_read_are_said_before_any_call(content, tmp_path, monkeypatch):
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))

    with pytest.raises(errors.ConfigError) as caught:
        client_of("https://127.0.0.1:9")

    assert str(path) in caught.value.sentence


def test_authorities_are_read_from_the_disk_once(server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    read = []
    load = ssl.SSLContext.load_verify_locations
    monkeypatch.setattr(
        ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: read.append(kwargs) or load(*args, **kwargs)
    )

    for _ in range(3):
        client_of(server.url).call("GET", "/things")

    assert read == [{"cafile": str(certificate)}]


def test_the_deadline_is_total_over_tls_too(server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    started = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded) as caught:
        client_of(server.url, deadline_seconds=0.5).call("POST", "/slow", body={})
    assert caught.value.is_outcome_unknown
    assert time.monotonic() - started < 2


def test_a_handshake_that_never_ends_was_surely_not_done():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(errors.Unreachable) as caught:
            client_of(url, deadline_seconds=0.4).call("POST", "/things", body={})
    assert not caught.value.is_outcome_unknown
    assert time.monotonic() - started < 2
