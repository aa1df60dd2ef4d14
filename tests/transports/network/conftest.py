"""Certificates, an emulator that speaks TLS, and a proxy that keeps what it was asked for."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.emulator import Emulator
from tests.kit.listener import Listener

# A name that no resolver knows: who reaches it, does so by the proxy.
FAR = "metakraftwerk.invalid"


@pytest.fixture(autouse=True)
def no_authorities_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@dataclass(frozen=True)
class Certificates:
    """PEM files: two authorities, and what the first has issued."""

    ca: str
    other_ca: str
    server: str
    server_of_another_name: str
    client: str
    client_of_other_ca: str
    client_with_encrypted_key: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def write(name: str, *blobs: trustme.Blob) -> str:
        path: Path = folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    ca, other_ca = trustme.CA(), trustme.CA()
    client = ca.issue_cert("airflow@example.com")
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase"))
    return Certificates(
        ca=write("ca.pem", ca.cert_pem),
        other_ca=write("other-ca.pem", other_ca.cert_pem),
        server=write("server.pem", ca.issue_cert("127.0.0.1", FAR).private_key_and_cert_chain_pem),
        server_of_another_name=write("other.pem", ca.issue_cert("other.invalid").private_key_and_cert_chain_pem),
        client=write("client.pem", client.private_key_and_cert_chain_pem),
        client_of_other_ca=write(
            "stranger.pem", other_ca.issue_cert("airflow@example.com").private_key_and_cert_chain_pem
        ),
        client_with_encrypted_key=write("locked.pem", trustme.Blob(encrypted), *client.cert_chain_pems),
    )


@pytest.fixture(scope="session")
def emulator_with_tls(certificates: Certificates) -> Iterator[Emulator]:
    with Emulator(tls_cert=certificates.server) as emulator:
        yield emulator


@pytest.fixture
def secure(emulator_with_tls: Emulator) -> Emulator:
    """An emulator that speaks TLS, back at its seed."""
    emulator_with_tls.reset()
    return emulator_with_tls


@pytest.fixture
def server_context(certificates: Certificates) -> Callable[..., ssl.SSLContext]:
    """The TLS context of a server: of another name, demanding a certificate of its clients, of an older TLS."""

    def make(
        certificate: str = certificates.server, *, demanding: bool = False, newest: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if demanding:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.ca)
        if newest is not None:
            context.maximum_version = newest
        return context

    return make


@pytest.fixture
def listen() -> Iterator[Callable[[Callable[[socket.socket], object]], Listener]]:
    """Start a :class:`Listener`."""
    with contextlib.ExitStack() as listeners:

        def start(behaviour: Callable[[socket.socket], object]) -> Listener:
            listener = Listener(behaviour)
            listeners.callback(listener.close)
            return listener

        yield start


class Proxy(Listener):
    """A forward and CONNECT proxy.

    :param names: the ports, on this machine, of the hosts that it knows.
    :param context: of a proxy that speaks TLS itself.
    """

    def __init__(self, names: dict[str, int], context: ssl.SSLContext | None = None) -> None:
        #: Method, target and headers of each request to the proxy itself.
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        #: ``None``: does its work. ``"silent"``, ``"close"`` or a status: what it does instead.
        self.refuses: str | int | None = None
        #: Whether it closes the connection as soon as the server has answered.
        self.loses_answers = False
        self._names = names
        super().__init__(self._work, context, expected=(OSError, ValueError))

    def _work(self, end: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = end.recv(65536)
            if not piece:
                return
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += end.recv(65536)
        self.asked.append((method, target, headers))
        if self.refuses is not None:
            self._refuse(end)
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            server = self._connect(host, int(port))
            end.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            server = self._connect(parts.hostname or "", parts.port or 80)
            rest = target.removeprefix(f"{parts.scheme}://{parts.netloc}")
            kept = [text for text in lines if not text.lower().startswith("proxy-")]
            server.sendall(
                "\r\n".join([f"{method} {rest} HTTP/1.1", *kept, "Connection: close", "", ""]).encode("latin-1")
            )
            server.sendall(body)
        with server:
            self._pass_on(end, server, count_answers=method == "CONNECT")

    def _refuse(self, end: socket.socket) -> None:
        if self.refuses == "silent":
            end.recv(1)
        elif self.refuses != "close":
            end.sendall(f"HTTP/1.1 {self.refuses} No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".encode())

    def _connect(self, host: str, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._names.get(host, port)), timeout=10)

    def _pass_on(self, client: socket.socket, server: socket.socket, *, count_answers: bool) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [], 10)
            for end in ready:
                piece = end.recv(65536)
                if not piece or (end is server and self.loses_answers and self._is_answer(piece, count_answers)):
                    return
                (server if end is client else client).sendall(piece)

    @staticmethod
    def _is_answer(piece: bytes, encrypted: bool) -> bool:
        # Handshake records of a TLS 1.2 server have another type than data, 23.
        return piece[0] == 23 if encrypted and piece[0] in (20, 21, 22, 23) else True


@pytest.fixture
def start_proxy(metakraftwerk: Emulator, secure: Emulator) -> Iterator[Callable[..., Proxy]]:
    """Start a proxy that knows the way to both emulators by the name of :data:`FAR`: port 80 is one, 443 the other."""
    with contextlib.ExitStack() as proxies:

        def start(context: ssl.SSLContext | None = None, *, to: Emulator | None = None) -> Proxy:
            proxy = Proxy({FAR: (to or metakraftwerk).port}, context)
            proxies.callback(proxy.close)
            return proxy

        yield start


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    """The way to the emulator that speaks plain HTTP."""
    return start_proxy()


@pytest.fixture
def tunnel(start_proxy: Callable[..., Proxy], secure: Emulator) -> Proxy:
    """The way to the emulator that speaks TLS."""
    return start_proxy(to=secure)


@pytest.fixture
def by_proxy(connect: Any, certificates: Certificates) -> Callable[..., Any]:
    """demo@example.com at a server that only the proxy can reach."""

    def make(schema: str, **extra: Any) -> Any:
        extra = {"allow_http": True, "verify": certificates.ca} | extra
        return connect(
            host=FAR, port=None, schema=schema, login="demo@example.com", password="demo-password", extra=extra
        )

    return make


@pytest.fixture
def counted(metakraftwerk: Emulator) -> Callable[..., tuple[int, int]]:
    """How many connections the emulator has accepted since the test began, and how many are open now."""
    before = metakraftwerk.connections()["accepted"]

    def count(*, none_open: bool = False) -> tuple[int, int]:
        until = time.monotonic() + 5
        while none_open and metakraftwerk.connections()["open"] and time.monotonic() < until:
            time.sleep(0.01)
        now = metakraftwerk.connections()
        return now["accepted"] - before, now["open"]

    return count


def settings_for(metakraftwerk: Emulator, **extra: Any) -> Settings:
    """The connection of demo@example.com."""
    fields = {name: metakraftwerk.connection[name] for name in ("host", "port", "schema", "login", "password")}
    return Settings.from_fields(name="x", **fields, extra=extra)
