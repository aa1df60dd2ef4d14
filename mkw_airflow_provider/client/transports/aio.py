"""The transport on aiohttp, for triggers: one session for all who share settings and event loop."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
import yarl

from mkw_airflow_provider.client.flows import Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep
from mkw_airflow_provider.client.request import SLOWEST_RESPONSE, Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports.network import KEEP_ALIVE, POOL, TlsFiles, describe, proxy_for
from mkw_airflow_provider.exceptions import ConfigurationError, ProtocolError

T = TypeVar("T")
Mask: TypeAlias = Callable[[str], Awaitable[object]]


class _ConnectError(aiohttp.ClientError):
    """Any failure before a request was sent: aiohttp has no class that names, proxies and TLS share."""


class _Connector(aiohttp.TCPConnector):
    async def connect(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().connect(*arguments, **options)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise _ConnectError(describe(error)) from error


class AsyncClient:
    """Sends requests and runs flows on the running event loop.

    Where the server drops a kept connection, aiohttp itself sends a GET once more, on a new connection. That is
    harmless, because a GET changes nothing; a POST is never sent twice.

    :param settings: of the connection.
    :param user_agent: how the client identifies itself.
    :param mask: keeps a text out of every log.
    """

    def __init__(self, settings: Settings, user_agent: str, mask: Mask) -> None:
        self.settings = settings
        self._users = 0
        self._user_agent = user_agent
        self._mask = mask
        self._locks: dict[Any, asyncio.Lock] = {}
        self._tls = TlsFiles(settings)
        self._refreshing = asyncio.Lock()
        is_secure = settings.base_url.startswith("https:")
        self._is_secure = is_secure
        # Read once: there is one server, and reading the environment costs more than a request.
        self._proxy, login = _without_login(proxy_for(settings, settings.base_url))
        # A tunnel is requested with its own headers; a request that a proxy forwards carries the proxy's login itself.
        self._tunnel_headers, self._forward_headers = (login, {}) if is_secure else ({}, login)
        # A complete response may take this long; so may the wait for a free connection, or for a silent proxy.
        self._longest = settings.connect_timeout + SLOWEST_RESPONSE * settings.read_timeout
        # Not aiohttp's own limit: a request that waits there holds all its objects, and a thousand may wait.
        self._free_connections = asyncio.Semaphore(POOL)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=2 * self._longest,
                connect=self._longest,
                sock_connect=settings.connect_timeout,
                sock_read=settings.read_timeout,
            ),
        )

    async def __aenter__(self) -> AsyncClient:  # noqa: PYI034  # `Self` needs Python 3.11
        """Count another user.

        :raises ConfigurationError: for a CA bundle or a client certificate that cannot be read.
        """
        self._users += 1
        try:
            await self.read_tls_files()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session and its connections, unless others use it."""
        self._users -= 1
        if self._users == 0:
            _shared[asyncio.get_running_loop()].pop(self.settings, None)
            await self._session.close()

    async def read_tls_files(self) -> None:
        """Read the CA bundle and the client certificate, if that was not done or they have been replaced since.

        :raises ConfigurationError: if they cannot be read.
        """
        if self._is_secure:
            async with self._refreshing:
                # It takes tens of milliseconds: not on the event loop.
                await asyncio.to_thread(self._tls.refresh)

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return what it returns, or raise what it raises."""
        outcome: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            # Thousands of flows sleep, and none keeps its last response meanwhile.
            outcome = failure = None
            try:
                outcome = await self._do(step)
            except Exception as error:  # the flow decides what it means
                failure = error

    def _do(self, step: Any) -> Awaitable[Any]:
        if isinstance(step, Request):
            return self.send(step)
        if isinstance(step, Sleep):
            return asyncio.sleep(step.seconds)
        if isinstance(step, MaskSecret):
            return self._mask(step.value)
        if isinstance(step, Offload):
            return asyncio.to_thread(step.function)
        if isinstance(step, ReadConnection):
            return step.read()  # type: ignore[no-any-return]  # in a triggerer a coroutine
        if isinstance(step, Exclusive):
            return self._run_alone(step)
        raise TypeError(f"a flow yielded {step!r}")

    async def _run_alone(self, step: Exclusive) -> Any:
        lock = self._locks.setdefault(step.key, asyncio.Lock())
        try:
            # Before Python 3.12 a timeout of 0 would end the wait for a free lock, too.
            await asyncio.wait_for(lock.acquire(), step.timeout if lock.locked() else None)
        except asyncio.TimeoutError:  # before Python 3.11 it is not the builtin one
            raise TimeoutError(f"another flow of the same key ran for longer than {step.timeout:.0f} s") from None
        try:
            return await self.run(step.flow)
        finally:
            lock.release()

    async def send(self, request: Request[Any]) -> Response:
        """Send one request. Streams nothing: files are downloaded in workers.

        :raises TransportError: if no complete response came.
        :raises ProtocolError: if the response is larger than its limit.
        """
        await self._take_connection()
        try:
            return await self._send(request)
        finally:
            self._free_connections.release()

    async def _take_connection(self) -> None:
        # Mostly one is free, and a timeout costs a task.
        longest = self._longest if self._free_connections.locked() else None
        try:
            await asyncio.wait_for(self._free_connections.acquire(), longest)
        except asyncio.TimeoutError:  # before Python 3.11 it is not the builtin one
            raise TransportError(f"no connection was free for {self._longest:g} s", sent=False) from None

    async def _send(self, request: Request[Any]) -> Response:
        try:
            async with self._session.request(
                request.method,
                yarl.URL(request.url(self.settings.base_url), encoded=True),
                headers={**request.request_headers(self._user_agent), **self._forward_headers},
                data=request.content,
                allow_redirects=False,
                ssl=self._tls.context or True,
                proxy=self._proxy,
                proxy_headers=self._tunnel_headers,
            ) as received:
                return await _receive(request, received)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            with suppress(ConfigurationError):
                await self.read_tls_files()  # the next attempt uses files that have been replaced meanwhile
            is_connect_error = isinstance(error, _ConnectError)
            # Without the cause: it may quote the whole URL.
            raise TransportError(
                str(error) if is_connect_error else describe(error), sent=not is_connect_error
            ) from None


def _without_login(proxy: str | None) -> tuple[yarl.URL | None, dict[str, str]]:
    """Split a proxy's URL into one without a login, because errors show the URL, and the header with the login."""
    if proxy is None:
        return None, {}
    url = yarl.URL(proxy)
    if not url.user:
        return url, {}
    login = base64.b64encode(f"{url.user}:{url.password or ''}".encode("latin-1")).decode()
    return url.with_user(None), {"Proxy-Authorization": f"Basic {login}"}


async def _receive(request: Request[Any], received: aiohttp.ClientResponse) -> Response:
    limit = request.body_limit(received.status)
    body = bytearray()
    async for piece in received.content.iter_any():
        body += piece
        if len(body) > limit:
            # The rest stays unread, so the connection cannot be used again.
            received.close()
            if Response(received.status, {}).ok:
                raise ProtocolError(f"the response to {request} is larger than {limit} bytes")
            break
    headers = {name.lower(): value for name, value in received.headers.items()}
    return Response(received.status, headers, bytes(body[:limit]))


#: The clients in use.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, AsyncClient]] = WeakKeyDictionary()


def shared_client(settings: Settings, user_agent: str, mask: Mask) -> AsyncClient:
    """Return the client that all users of the same settings on this event loop share.

    Each user enters it with ``async with``; the last one to leave closes it.

    :raises ConfigurationError: for a proxy of the environment that cannot be used.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    if settings not in clients:
        clients[settings] = AsyncClient(settings, user_agent, mask)
    return clients[settings]
