"""An emulator that uses TLS, and proxies in front of it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.emulator import Emulator
from tests.kit.certificates import FAR, Certificates
from tests.kit.servers import Listener, Proxy


@pytest.fixture(autouse=True)
def no_ca_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def emulator_with_tls(certificates: Certificates) -> Iterator[Emulator]:
    with Emulator(tls_cert=certificates.server) as emulator:
        yield emulator


@pytest.fixture
def secure(emulator_with_tls: Emulator) -> Emulator:
    """An emulator that uses TLS, reset to its seed."""
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
def listen(servers: ExitStack) -> Callable[[Callable[[socket.socket], object]], Listener]:
    """Start a :class:`Listener`."""
    return lambda behavior: servers.enter_context(Listener(behavior))


@pytest.fixture
def start_proxy(metakraftwerk: Emulator, servers: ExitStack) -> Callable[..., Proxy]:
    """Start a proxy that knows an emulator by the name :data:`FAR`."""

    def start(context: ssl.SSLContext | None = None, *, to: Emulator = metakraftwerk) -> Proxy:
        return servers.enter_context(Proxy({FAR: to.port}, context))

    return start


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy in front of the emulator that uses plain HTTP."""
    return start_proxy()


@pytest.fixture
def tunnel(start_proxy: Callable[..., Proxy], secure: Emulator) -> Proxy:
    """A proxy in front of the emulator that uses TLS."""
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
    """Count the connections that the emulator has accepted since the test began, and those that are open now."""
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
