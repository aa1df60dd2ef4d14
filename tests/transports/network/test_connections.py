"""Connections are kept and shared; cookies are not kept, and redirects are not followed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mkw_airflow_provider.client.api.builds import get_build
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.request import TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports import aio, sync
from mkw_airflow_provider.client.transports.aio import AsyncClient, shared_client
from mkw_airflow_provider.client.transports.network import KEEP_ALIVE, POOL
from mkw_airflow_provider.exceptions import ApiError, ConfigurationError
from tests.transports.network.conftest import settings_for

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


def test_requests_share_one_connection(api, counted):
    for _ in range(10):
        api.call(find_projects())
    assert counted()[0] == 1


@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.parametrize("style", ["feathers5", "html"])
def test_connection_survives_an_error(metakraftwerk, connect, counted, status, style):
    metakraftwerk.set(error_body=style)
    metakraftwerk.fault("status", path="/api/*", status=status, times=3)
    api = connect(extra={"outage_tolerance": 0})
    for _ in range(3):
        with pytest.raises(ApiError):
            api.call(find_projects())
    api.call(find_projects())
    assert counted()[0] == 1


def test_tls_connections_are_kept_too(connect, secure, certificates):
    before = secure.connections()["accepted"]
    fields = {name: secure.connection[name] for name in ("host", "port", "schema", "login", "password")}
    api = connect(**fields, extra={"verify": certificates.ca})
    for _ in range(5):
        api.call(find_projects())
    assert secure.connections()["accepted"] - before == 1


def test_closed_connection_is_not_reused(metakraftwerk, api, counted):
    api.call(find_projects())
    metakraftwerk.stop()
    metakraftwerk.start()
    assert len(api.call(find_projects())) == 4
    assert api.clock.pauses == []


def test_closing_the_client_closes_connections(metakraftwerk, api, counted):
    metakraftwerk.fault("delay", path="/api/*", delay=0.05, times=None)
    api.call_all([find_projects() for _ in range(5)])
    assert counted()[1] > 0
    api.transport.close()
    assert counted(none_open=True)[1] == 0


def test_closed_client_opens_new_connections(metakraftwerk, connect_over, over_requests, counted):
    fields = {name: metakraftwerk.connection[name] for name in ("host", "port", "schema", "login", "password")}
    api = connect_over(over_requests, **fields)
    api.call(find_projects())
    over_requests.close()
    assert len(api.call(find_projects())) == 4
    assert counted()[0] == 2


def test_callers_share_at_most_ten_connections(metakraftwerk, connect_over, over_aiohttp, counted):
    fields = {name: metakraftwerk.connection[name] for name in ("host", "port", "schema", "login", "password")}
    api = connect_over(over_aiohttp, **fields)
    metakraftwerk.fault("delay", path="/api/*", delay=0.02, times=None)
    outcomes = api.call_all([find_projects() for _ in range(60)])
    assert [len(projects) for projects in outcomes] == [4] * 60
    assert POOL == 10
    assert counted()[0] <= POOL


def test_wait_for_a_free_connection_is_limited(over_aiohttp, listen):
    """A silent server keeps all connections in use; a request that waits for one fails after a while."""
    silent = listen(lambda connection: connection.recv(65536) and connection.recv(1))
    extra = {"token": "t", "connect_timeout": 0.1, "read_timeout": 0.05}
    settings = Settings.from_fields(name="x", host=f"http://127.0.0.1:{silent.port}", extra=extra)

    async def scenario():
        async with shared_client(settings, "a", mask) as client:
            return await asyncio.gather(*(client.send(find_projects()) for _ in range(400)), return_exceptions=True)

    failures = over_aiohttp.do(scenario())
    waited = [failure for failure in failures if "no connection was free for 0.6 s" in str(failure)]
    assert {type(failure) for failure in failures} == {TransportError}
    assert [failure.sent for failure in waited] == [False] * len(waited)
    assert POOL <= len(failures) - len(waited) < len(failures)


def test_canceled_request_frees_its_connection(metakraftwerk, over_aiohttp):
    """Both while it waits for its response and while it waits for a connection."""
    metakraftwerk.fault("delay", path="/api/*", delay=3600, times=POOL)

    async def scenario():
        async with shared_client(settings_for(metakraftwerk), "a", mask) as client:
            tasks = [asyncio.create_task(client.send(find_projects())) for _ in range(3 * POOL)]
            while len(metakraftwerk.requests(path="/api/*")) < POOL:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            canceled = await asyncio.gather(*tasks, return_exceptions=True)
            responses = await asyncio.gather(*(client.send(find_projects()) for _ in range(2 * POOL)))
        return canceled, responses

    canceled, responses = over_aiohttp.do(scenario())
    assert {type(outcome) for outcome in canceled} == {asyncio.CancelledError}
    assert [response.status for response in responses] == [401] * 2 * POOL


async def mask(secret):
    del secret


def test_equal_settings_share_one_client(metakraftwerk, over_aiohttp, counted):
    async def scenario():
        first, same = settings_for(metakraftwerk), settings_for(metakraftwerk)
        other = settings_for(metakraftwerk, read_timeout=59)
        async with shared_client(first, "a", mask) as one:
            async with shared_client(same, "a", mask) as two, shared_client(other, "a", mask) as three:
                assert one is two
                assert one is not three
                await two.send(find_projects())
            await one.send(find_projects())
        with pytest.raises(RuntimeError, match="closed"):
            await one.send(find_projects())
        async with shared_client(first, "a", mask) as four:
            assert four is not one
            assert (await four.send(find_projects())).status == 401

    over_aiohttp.do(scenario())
    assert counted(none_open=True) == (2, 0)


def test_canceled_user_leaves_the_client_open(metakraftwerk, over_aiohttp, counted):
    async def wait_forever(settings, entered):
        async with shared_client(settings, "a", mask):
            entered.set()
            await asyncio.sleep(3600)

    async def scenario():
        settings, entered = settings_for(metakraftwerk), asyncio.Event()
        task = asyncio.create_task(wait_forever(settings, entered))
        await entered.wait()
        async with shared_client(settings, "a", mask) as client:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await client.send(find_projects())).status == 401

    over_aiohttp.do(scenario())
    assert counted(none_open=True) == (1, 0)


def test_failed_client_is_not_cached(connect, over_aiohttp, certificates, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("not yet")
    settings = Settings.from_fields(
        name="x", host="https://127.0.0.1:9", extra={"token": "t", "verify": str(bundle), "outage_tolerance": 0}
    )

    async def enter():
        async with shared_client(settings, "a", mask) as client:
            return type(client)

    with pytest.raises(ConfigurationError):
        over_aiohttp.do(enter())
    bundle.write_bytes(Path(certificates.ca).read_bytes())
    assert over_aiohttp.do(enter()) is AsyncClient


def test_cookies_are_not_kept(connect, serve):
    server = serve(lambda request: EMPTY.replace(b"OK\r\n", b"OK\r\nSet-Cookie: feathers=abc; Path=/\r\n"))
    # A host name, because a cookie jar may ignore IP addresses.
    api = connect(host=f"http://localhost:{server.port}", extra={"token": "t"})
    for _ in range(3):
        api.call(find_projects())
    assert [request.header("cookie") for request in server.arrived] == [None] * 3


def test_netrc_file_does_not_replace_the_token(metakraftwerk, api, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\ndefault login any password thing\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(api.call(find_projects())) == 4
    assert [request["user_id"] for request in metakraftwerk.requests("GET")] == [1]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [find_projects(), get_build(1)])
def test_redirect_is_an_error(metakraftwerk, api, serve, status, call):
    other = serve(lambda request: EMPTY)
    metakraftwerk.fault("redirect", path="/api/*", location=f"{other.url}/elsewhere", status=status)
    with pytest.raises(ApiError) as caught:
        api.call(call)
    assert (caught.value.status, caught.value.method, caught.value.path) == (status, "GET", call.path)
    assert len(metakraftwerk.requests(path="/api/*")) == 1
    assert (other.connections, api.clock.pauses) == (0, [])


@pytest.mark.parametrize("location", ["http://[", "//[::1", "http://*.example.com:x/", "", "ftp://x", "é" * 10])
def test_invalid_redirect_is_an_error(connect, serve, location):
    server = serve(
        lambda request: f"HTTP/1.1 302 F\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    )
    with pytest.raises(ApiError) as caught:
        connect(host=server.url, extra={"token": "t"}).call(find_projects())
    assert caught.value.status == 302


def test_login_is_not_redirected(metakraftwerk, api, serve):
    other = serve(lambda request: EMPTY)
    metakraftwerk.fault("redirect", path="/authentication", location=f"{other.url}/authentication", status=308)
    with pytest.raises(ApiError) as caught:
        api.call(find_projects())
    assert (caught.value.status, caught.value.path) == (308, "/authentication")
    assert other.connections == 0


def test_idle_connection_is_not_reused(api, counted, monkeypatch):
    """A firewall that drops idle connections would stall the next request until its read timeout."""
    assert KEEP_ALIVE < 60
    for transport in (sync, aio):
        monkeypatch.setattr(transport, "KEEP_ALIVE", 1e-9)
    for _ in range(3):
        api.call(find_projects())
    # The login had one, too.
    assert counted()[0] == 4
