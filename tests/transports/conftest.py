"""One API, two transports: every test that takes ``connect`` runs once over requests and once over aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from mkw_airflow_provider.client.flows import ApiSession, Exclusive, Flow, Sleep
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.client.transports.aio import AsyncClient, shared_client
from mkw_airflow_provider.client.transports.sync import Client
from mkw_airflow_provider.emulator import Emulator
from tests.kit.listener import Listener

AGENT = "mkw-airflow-provider/0 apache-airflow/0"


class Clock:
    """Time that passes in pauses only, so that an outage of minutes is over at once and each try can be counted."""

    def __init__(self) -> None:
        self.now = 1_775_000_000.0
        self.pauses: list[float] = []
        #: Called one by one, each in a pause: what changes while nobody asks.
        self.meanwhile: list[Callable[[], object]] = []

    def read(self) -> float:
        return self.now

    def skip(self, seconds: float) -> None:
        self.now += seconds

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.skip(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()


def without_waiting(flow: Flow[Any], clock: Clock) -> Flow[Any]:
    """A flow whose pauses pass on the clock instead of in the transport."""
    outcome: Any = None
    failure: Exception | None = None
    while True:
        try:
            step = flow.send(outcome) if failure is None else flow.throw(failure)
        except StopIteration as end:
            return end.value
        outcome, failure = None, None
        if isinstance(step, Sleep):
            clock.pause(step.seconds)
            continue
        if isinstance(step, Exclusive):
            step = Exclusive(step.key, without_waiting(step.flow, clock))
        try:
            outcome = yield step
        except Exception as error:  # whatever it is, the flow gets it
            failure = error


class OverRequests:
    """The transport of a worker: each flow runs in the thread that calls."""

    name = "requests"

    def __init__(self) -> None:
        self.masked: list[str] = []
        self._clients: dict[Settings, Client] = {}

    def run(self, settings: Settings, flow: Flow[Any]) -> Any:
        if settings not in self._clients:
            self._clients[settings] = Client(settings, AGENT, self.masked.append)
        return self._clients[settings].run(flow)

    def run_all(self, settings: Settings, flows: Sequence[Flow[Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(flows)) as threads:
            futures = [threads.submit(self.run, settings, flow) for flow in flows]
        return [future.exception() or future.result() for future in futures]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


class OverAiohttp:
    """The transport of a triggerer: each flow runs as a task of one event loop, which never rests meanwhile."""

    name = "aiohttp"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.masked: list[str] = []
        self._loop = loop
        self._lent = contextlib.AsyncExitStack()
        self._clients: dict[Settings, AsyncClient] = {}

    def do(self, step: Any) -> Any:
        """Await something on the event loop."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(120)

    async def mask(self, secret: str) -> None:
        self.masked.append(secret)

    async def _run(self, settings: Settings, flow: Flow[Any]) -> Any:
        if settings not in self._clients:
            client = await self._lent.enter_async_context(shared_client(settings, AGENT, self.mask))
            self._clients.setdefault(settings, client)
        return await self._clients[settings].run(flow)

    def run(self, settings: Settings, flow: Flow[Any]) -> Any:
        return self.do(self._run(settings, flow))

    def run_all(self, settings: Settings, flows: Sequence[Flow[Any]]) -> list[Any]:
        async def together() -> list[Any]:
            return await asyncio.gather(*(self._run(settings, flow) for flow in flows), return_exceptions=True)

        return self.do(together())

    def close(self) -> None:
        self.do(self._lent.aclose())


class Log:
    """What a conversation logs, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _write(self, text: str, *arguments: Any) -> None:
        self.lines.append(text % arguments)

    debug = info = warning = _write


@dataclass
class Api:
    """A user at a server, through one transport."""

    settings: Settings
    transport: OverRequests | OverAiohttp
    clock: Clock

    def __post_init__(self) -> None:
        self.log = Log()
        # Chance 0: the pauses between tries are half a second each, unless the server asks for more.
        self.session = ApiSession(
            self.settings,
            TokenCache(),
            monotonic=self.clock.read,
            wall=self.clock.read,
            random=lambda: 0.0,
            log=self.log,
        )

    def run(self, flow: Flow[Any]) -> Any:
        return self.transport.run(self.settings, without_waiting(flow, self.clock))

    def call(self, call: Request[Any]) -> Any:
        return self.run(self.session.request(call))

    def call_all(self, calls: Sequence[Request[Any]]) -> list[Any]:
        """The outcomes of calls that are made at the same time: values or exceptions."""
        flows = [without_waiting(self.session.request(call), self.clock) for call in calls]
        return self.transport.run_all(self.settings, flows)


@dataclass(frozen=True)
class Arrived:
    """A request as it came over the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


Answer = Callable[[Arrived], bytes | Iterable[bytes] | None]


class RawServer(Listener):
    """Answers with any bytes, good HTTP or not: what no emulator of a proper server would send.

    :param answer: makes the bytes of an answer, or pieces of them; None ends the connection.
    :param context: of a server that speaks TLS.
    """

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.arrived: list[Arrived] = []
        self._answer = answer
        super().__init__(self._converse, context, expected=(OSError, ValueError))

    def _converse(self, end: socket.socket) -> None:
        with end.makefile("rb") as file:
            while line := file.readline().decode("latin-1").rstrip():
                arrived = self._read(line, file)
                self.arrived.append(arrived)
                answer = self._answer(arrived)
                if answer is None:
                    return
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    end.sendall(piece)

    @staticmethod
    def _read(line: str, file: Any) -> Arrived:
        headers = []
        while header := file.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = header.partition(": ")
            headers.append((name, value))
        arrived = Arrived(line, headers, b"")
        return Arrived(line, headers, file.read(int(arrived.header("content-length") or 0)))


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
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start a :class:`RawServer`."""
    with contextlib.ExitStack() as servers:

        def start(answer: Answer, context: ssl.SSLContext | None = None) -> RawServer:
            server = RawServer(answer, context)
            servers.callback(server.close)
            return server

        yield start
