"""One API, two transports: every test that takes ``connect`` runs once over requests and once over aiohttp."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ssl import SSLContext
from typing import Any

import pytest

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.emulator import Emulator
from tests.kit.clock import Clock
from tests.kit.servers import RawServer, Respond
from tests.kit.transports import Api, OverAiohttp, OverRequests


@pytest.fixture(scope="session")
def event_loop_of_a_triggerer() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def over_requests() -> Iterator[OverRequests]:
    transport = OverRequests()
    yield transport
    transport.close()


@pytest.fixture
def over_aiohttp(event_loop_of_a_triggerer: asyncio.AbstractEventLoop) -> Iterator[OverAiohttp]:
    transport = OverAiohttp(event_loop_of_a_triggerer)
    yield transport
    transport.close()


@pytest.fixture(params=["requests", "aiohttp"])
def transport(request: pytest.FixtureRequest) -> OverRequests | OverAiohttp:
    """Each of the two, one after the other."""
    chosen: OverRequests | OverAiohttp = request.getfixturevalue(f"over_{request.param}")
    return chosen


@pytest.fixture
def clock() -> Clock:
    return Clock()


Connect = Callable[..., Api]


@pytest.fixture
def connect_over(clock: Clock) -> Connect:
    """A user at a server, through a given transport. Keywords are fields of the connection, ``extra`` its extras."""

    def connect(transport: OverRequests | OverAiohttp, **fields: Any) -> Api:
        extra = {"outage_tolerance": 2} | fields.pop("extra", {})
        return Api(Settings.from_fields(name="contract", extra=extra, **fields), transport, clock)

    return connect


@pytest.fixture
def connect(connect_over: Connect, transport: OverRequests | OverAiohttp, metakraftwerk: Emulator) -> Connect:
    """A user at the emulator, or with ``host`` elsewhere, through the transport whose turn it is."""

    def connect(email: str = "demo@example.com", **fields: Any) -> Api:
        if "host" not in fields:
            fields = metakraftwerk.connection_for(email) | fields
            del fields["conn_type"]
        return connect_over(transport, **fields)

    return connect


@pytest.fixture
def api(connect: Connect) -> Api:
    """demo@example.com, who may do everything, at the emulator."""
    return connect()


@pytest.fixture
def serve(servers: ExitStack) -> Callable[..., RawServer]:
    """Start a :class:`RawServer`."""

    def start(respond: Respond, context: SSLContext | None = None) -> RawServer:
        return servers.enter_context(RawServer(respond, context))

    return start
