"""The transport on aiohttp: sends one call, runs one flow; one session for all who share settings and event loop."""

from __future__ import annotations

import asyncio
import base64
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
import yarl

from mkw_airflow_provider.client.flows import Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep
from mkw_airflow_provider.client.request import NOT_WHOLE, SLOWEST_ANSWER, Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports.network import in_words, proxy_for, tls_context
from mkw_airflow_provider.exceptions import ProtocolError

T = TypeVar("T")
Mask: TypeAlias = Callable[[str], Awaitable[object]]

#: Connections of one session. On TLS each costs 300 kB, and so few serve thousands of waiting triggers.
POOL = 10
#: Seconds for which an idle connection is kept: longer than any sensible pause between two polls.
KEEP_ALIVE = 3600.0
#: Pauses of this many seconds and more end at the next multiple of a tick, in seconds of the loop's clock. On its own
#: each wake-up costs as much as half of a poll.
COALESCED = 1.0
TICK = 0.25
#: The most bytes of an answer in a row that are no part of its body: aiohttp before 3.14 keeps as many headers as come.
#: More than what is read at once, which may be a head with the beginning of its body.
MOST_AROUND = 512 * 1024


class _NotConnectedError(aiohttp.ClientError):
    """What failed before a request was sent."""


class _Connector(aiohttp.TCPConnector):
    """Tells what fails before a request is sent, be it name, proxy or TLS, from what fails later."""

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().connect(*arguments, **options)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise _NotConnectedError(in_words(error)) from error


class _Answer(aiohttp.ClientResponse):
    """An answer that must be whole in time, with a limit also for what stands before, between and behind its chunks.

    aiohttp's own limit of time would count the wait for a connection, too.
    """

    _alarm: asyncio.TimerHandle | None = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        protocol, transport = connection.protocol, connection.transport
        patience = SLOWEST_ANSWER * protocol.read_timeout
        self._alarm = asyncio.get_running_loop().call_later(patience, self.break_off, protocol, NOT_WHOLE)
        if transport is not None:
            transport.set_protocol(_Counter(self, protocol))
        return await super().start(connection)

    def break_off(self, protocol: Any, why: str) -> None:
        """End it with an error, wherever it is."""
        error = TransportError(why, sent=True)
        protocol.set_exception(error)
        if self.content is not None:
            self.content.set_exception(error)

    def release(self) -> Any:
        self._still()
        return super().release()

    def close(self) -> None:
        self._still()
        super().close()

    def _still(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()


class _Counter:
    """Stands before aiohttp's protocol while an answer comes, and until the next one on that connection."""

    def __init__(self, answer: _Answer, protocol: Any) -> None:
        self._answer = answer
        self._protocol = protocol
        self._left = MOST_AROUND
        self._body = 0

    def data_received(self, data: bytes) -> None:
        body = 0 if self._answer.content is None else self._answer.content.total_bytes
        self._left = (MOST_AROUND if body > self._body else self._left) - len(data)
        self._body = body
        if self._left >= 0:
            self._protocol.data_received(data)
        else:
            self._answer.break_off(self._protocol, f"more than {MOST_AROUND} bytes came that are no part of a body")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)


class AsyncClient:
    """Sends calls and runs flows on the running event loop.

    :param settings: of the connection.
    :param user_agent: what the client calls itself.
    :param mask: keeps a text out of every log.
    :param context: for TLS; None where the server speaks plain HTTP.
    """

    def __init__(self, settings: Settings, user_agent: str, mask: Mask, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._mask = mask
        self._turns: dict[Any, asyncio.Lock] = {}
        # Looked up once: there is one server, and reading the environment costs more than a request.
        self._proxy, login = _without_login(proxy_for(settings, settings.base_url))
        # A tunnel is asked for with headers of its own; a request that is passed on shows the proxy its own.
        self._to_tunnel, self._along = (login, {}) if settings.base_url[:6] == "https:" else ({}, login)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=POOL, keepalive_timeout=KEEP_ALIVE, ssl=context or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Answer,
            timeout=aiohttp.ClientTimeout(
                total=None,
                # The wait for a connection of the pool, and for a proxy that takes one and then says nothing.
                connect=settings.connect_timeout + SLOWEST_ANSWER * settings.read_timeout,
                sock_connect=settings.connect_timeout,
                sock_read=settings.read_timeout,
            ),
        )
        # aiohttp would send a GET that got no answer again by itself, past the flow that counts and spaces the tries.
        self._session._retry_connection = False  # noqa: SLF001

    async def close(self) -> None:
        """Close the session and its connections."""
        await self._session.close()

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return what it returns, or raise what it raises."""
        outcome: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                outcome, failure = await self._do(step), None
            except Exception as error:  # the flow knows what to make of it
                outcome, failure = None, error

    async def _do(self, step: Any) -> Any:
        if isinstance(step, Request):
            return await self.send(step)
        if isinstance(step, Sleep):
            return await _sleep(step.seconds)
        if isinstance(step, MaskSecret):
            return await self._mask(step.value)
        if isinstance(step, Exclusive):
            lock = self._turns.setdefault(step.key, asyncio.Lock())
            if not lock.locked():
                await lock.acquire()
            else:
                try:
                    await asyncio.wait_for(lock.acquire(), step.timeout)
                except asyncio.TimeoutError as error:  # before Python 3.11 it is not the builtin one
                    raise TimeoutError from error
            try:
                return await self.run(step.flow)
            finally:
                lock.release()
        if isinstance(step, Offload):
            return await asyncio.to_thread(step.function)
        if isinstance(step, ReadConnection):
            return await step.read()
        raise TypeError(f"a flow yielded {step!r}")

    async def send(self, call: Request[Any]) -> Response:
        """Send one request. Streams nothing: files are fetched in the worker.

        :raises TransportError: if no whole answer came.
        :raises ProtocolError: if the answer is larger than it may be.
        """
        try:
            async with self._session.request(
                call.method,
                yarl.URL(call.url(self._settings.base_url), encoded=True),
                headers={**call.request_headers(self._user_agent), **self._along},
                data=call.content,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._to_tunnel,
            ) as response:
                return await _receive(call, response)
        except _NotConnectedError as error:
            raise TransportError(str(error), sent=False) from error
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise TransportError(in_words(error), sent=True) from error


def _without_login(proxy: str | None) -> tuple[yarl.URL | None, dict[str, str]]:
    """Split a proxy's address into one without a login, for errors show the address, and the header of the login."""
    if proxy is None:
        return None, {}
    url = yarl.URL(proxy)
    if not url.user:
        return url, {}
    login = base64.b64encode(f"{url.user}:{url.password or ''}".encode("latin-1")).decode()
    return url.with_user(None), {"Proxy-Authorization": f"Basic {login}"}


async def _sleep(seconds: float) -> None:
    """Sleep for so long, and up to a tick more after long pauses, so that hundreds of polls share a few wake-ups."""
    if seconds >= COALESCED:
        now = asyncio.get_running_loop().time()
        seconds = math.ceil((now + seconds) / TICK) * TICK - now
    await asyncio.sleep(seconds)


async def _receive(call: Request[Any], response: aiohttp.ClientResponse) -> Response:
    status, limit = response.status, call.body_limit(response.status)
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            # What follows is left unread, and the connection with it.
            response.close()
            if 200 <= status < 300:
                raise ProtocolError(f"the answer to {call} is larger than {limit} bytes")
            break
    return Response(status, headers, bytes(body[:limit]))


class _Shared:
    """A client and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self.client: AsyncClient | None = None
        self.opening = asyncio.Lock()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(settings: Settings, user_agent: str, mask: Mask) -> AsyncIterator[AsyncClient]:
    """Lend the client that all users of the same settings on this event loop share; the last one closes it.

    :raises ConfigurationError: for a CA bundle or a client certificate that cannot be read, or a proxy of the
        environment that cannot be used.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = clients.setdefault(settings, _Shared())
    shared.users += 1
    try:
        async with shared.opening:
            if shared.client is None:
                # Reading CA bundles takes tens of milliseconds: not on the event loop.
                context = await asyncio.to_thread(tls_context, settings) if settings.base_url[:6] == "https:" else None
                shared.client = AsyncClient(settings, user_agent, mask, context)
        yield shared.client
    finally:
        shared.users -= 1
        if shared.users == 0:
            del clients[settings]
            if shared.client is not None:
                await shared.client.close()
