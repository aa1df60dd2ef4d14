"""The transport on aiohttp: sends one call, runs one flow; one session for all who share settings and event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
import yarl

from mkw_airflow_provider.client.flows import Alone, Flow, Pause, Secret
from mkw_airflow_provider.client.network import proxy_for, tls_context
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.wire import SLOWEST_ANSWER, Call, Reply, TransportError
from mkw_airflow_provider.exceptions import ProtocolError

T = TypeVar("T")
Mask: TypeAlias = Callable[[str], Awaitable[object]]

#: Connections of one session. On TLS each costs 300 kB, and so few serve thousands of waiting triggers.
POOL = 10
#: Seconds for which an idle connection is kept: longer than any sensible pause between two polls.
KEEP_ALIVE = 3600.0


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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL, keepalive_timeout=KEEP_ALIVE, ssl=context or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
            ),
        )

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
        if isinstance(step, Call):
            return await self.send(step)
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Secret):
            return await self._mask(step.value)
        if isinstance(step, Alone):
            async with self._turns.setdefault(step.key, asyncio.Lock()):
                return await self.run(step.flow)
        raise TypeError(f"a flow yielded {step!r}")

    async def send(self, call: Call[Any]) -> Reply:
        """Send one request. Streams nothing: files are fetched in the worker.

        :raises TransportError: if no whole answer came.
        :raises ProtocolError: if the answer is larger than it may be.
        """
        url = call.url(self._settings.base_url)
        try:
            async with self._session.request(
                call.method,
                yarl.URL(url, encoded=True),
                headers=call.request_headers(self._user_agent),
                data=call.content,
                allow_redirects=False,
                proxy=proxy_for(self._settings, url),
            ) as response:
                return await asyncio.wait_for(_receive(call, response), SLOWEST_ANSWER * self._settings.read_timeout)
        except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
            text = f"{type(error).__name__}: {str(error)[:300]}"
            raise TransportError(text, sent=not isinstance(error, never)) from error


async def _receive(call: Call[Any], response: aiohttp.ClientResponse) -> Reply:
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
    return Reply(status, headers, bytes(body[:limit]))


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

    :raises ConfigurationError: for a CA bundle or a client certificate that cannot be read.
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
