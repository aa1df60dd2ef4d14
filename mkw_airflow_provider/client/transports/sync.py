"""The transport on requests, for workers: sends one request, runs one flow, streams a file."""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import requests
import requests.adapters
import urllib3
import urllib3.connection

from mkw_airflow_provider.client.flows import Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep
from mkw_airflow_provider.client.request import PIECE, SLOWEST_RESPONSE, Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports.network import KEEP_ALIVE, POOL, TlsFiles, describe, proxy_for
from mkw_airflow_provider.client.transports.stopping import StoppedError, StopSignal
from mkw_airflow_provider.exceptions import ConfigurationError, ProtocolError

__all__ = ["Client", "StopSignal", "StoppedError"]

T = TypeVar("T")

_locks: dict[Any, threading.Lock] = {}
# A lock that another thread holds when a process forks would stay locked in the child.
os.register_at_fork(after_in_child=_locks.clear)


@contextmanager
def _connecting(connection: urllib3.connection.HTTPConnection) -> Iterator[None]:
    """Turn every failure before the request is sent into one class: a name, a proxy or TLS raise many."""
    try:
        yield
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        raise urllib3.exceptions.NewConnectionError(connection, str(error)) from error


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """Keeps the connections. Used without a session, which would read a redirect's whole body, and keep cookies.

    :param context: the TLS context, made the same way for the other transport; None for plain HTTP.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=POOL)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        context = {"ssl_context": self._context, "proxy_ssl_context": self._context}
        manager = super().proxy_manager_for(proxy, **options, **context)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the connection unchanged: the context has the certificates."""


class Client:
    """Sends requests and runs flows in the calling thread. Several threads may use it at the same time.

    A connection that was idle for longer than ``KEEP_ALIVE`` is not used again.

    :param settings: of the connection.
    :param user_agent: how the client identifies itself.
    :param mask: keeps a text out of every log.
    """

    def __init__(self, settings: Settings, user_agent: str, mask: Callable[[str], object]) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._mask = mask
        self._tls = TlsFiles(settings)
        # By process and TLS context: a forked child must not write into its parent's connections.
        self._adapters: dict[tuple[int, ssl.SSLContext | None], _Adapter] = {}
        self._last_used = time.monotonic()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        for adapter in list(self._adapters.values()):
            adapter.close()

    def run(self, flow: Flow[T], stop: StopSignal | None = None) -> T:
        """Run a flow to its end and return what it returns, or raise what it raises.

        :param stop: ends the run early.
        :raises StoppedError: if it did.
        """
        stop = stop or StopSignal()
        outcome: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                outcome, failure = self._do(step, stop), None
            except Exception as error:  # the flow decides what it means
                outcome, failure = None, error

    def _do(self, step: Any, stop: StopSignal) -> Any:
        stop.check()
        if isinstance(step, Request):
            return self.send(step, stop)
        if isinstance(step, Sleep):
            return stop.sleep(step.seconds)
        if isinstance(step, MaskSecret):
            return self._mask(step.value)
        if isinstance(step, Offload):
            return step.function()
        if isinstance(step, ReadConnection):
            return step.read()
        if isinstance(step, Exclusive):
            lock = _locks.setdefault(step.key, threading.Lock())
            if not lock.acquire(timeout=-1 if step.timeout is None else max(0.0, step.timeout)):
                raise TimeoutError(f"another flow of the same key ran for longer than {step.timeout:.0f} s")
            try:
                return self.run(step.flow, stop)
            finally:
                lock.release()
        raise TypeError(f"a flow yielded {step!r}")

    def send(self, request: Request[Any], stop: StopSignal | None = None) -> Response:
        """Send one request.

        :param stop: ends the transfer of a file early.
        :raises TransportError: if no complete response came.
        :raises ProtocolError: if the response is larger than its limit.
        """
        url = request.url(self._settings.base_url)
        proxy = proxy_for(self._settings, url)
        try:
            prepared = requests.Request(
                request.method, url, headers=request.request_headers(self._user_agent), data=request.content
            ).prepare()
            prepared.url = url  # unchanged: the path is already quoted
            received = self._adapter_for(url).send(
                prepared,
                stream=True,
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                verify=self._settings.verify is not False,
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
            with received:
                return self._receive(request, received, stop or StopSignal())
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            self._read_replaced_files()
            # Without the cause: it quotes the whole URL.
            raise TransportError(_innermost(error), sent=not _failed_to_connect(error)) from None
        finally:
            self._last_used = time.monotonic()

    def _adapter_for(self, url: str) -> _Adapter:
        if time.monotonic() - self._last_used > KEEP_ALIVE:
            self.close()
        secure = url.startswith("https:")
        if secure and self._tls.context is None:
            self._tls.refresh()
            if self._settings.verify is False:
                # urllib3 would warn at every request.
                warnings.simplefilter("once", urllib3.exceptions.InsecureRequestWarning)
        key = (os.getpid(), self._tls.context if secure else None)
        adapter = self._adapters.get(key)
        return adapter or self._adapters.setdefault(key, _Adapter(key[1]))

    def _read_replaced_files(self) -> None:
        """Let the next attempt use a CA bundle or client certificate that has been replaced meanwhile."""
        if self._tls.context is not None:
            with suppress(ConfigurationError):
                self._tls.refresh()

    def _receive(self, request: Request[Any], received: requests.Response, stop: StopSignal) -> Response:
        response = Response(received.status_code, {name.lower(): value for name, value in received.headers.items()})
        if request.sink is not None and response.ok:
            request.sink.begin(response)
            # A file may take any time, as long as each read gets something of it in time.
            while piece := received.raw.read1(PIECE, decode_content=True):
                stop.check()
                request.sink.write(piece)
            return response
        return Response(response.status, response.headers, self._body(request, received, response))

    def _body(self, request: Request[Any], received: requests.Response, response: Response) -> bytes:
        limit = request.body_limit(response.status)
        overdue = time.monotonic() + SLOWEST_RESPONSE * self._settings.read_timeout
        body = bytearray()
        while piece := received.raw.read1(64 * 1024, decode_content=True):
            body += piece
            if len(body) > limit:
                # The rest stays unread, so the connection cannot be used again.
                received.raw.close()
                if response.ok:
                    raise ProtocolError(f"the response to {request} is larger than {limit} bytes")
                return bytes(body[:limit])
            if time.monotonic() > overdue:
                received.raw.close()
                raise TransportError(f"the response was incomplete after {SLOWEST_RESPONSE} read timeouts", sent=True)
        return bytes(body)


def _failed_to_connect(error: Exception) -> bool:
    """Whether the request was surely not sent."""
    return any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those wrapped in it, which these libraries do by arguments, ``reason`` and ``__cause__``.

    Not by ``__context__``: that may be an error which the caller was handling when this one came.
    """
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
            yield cause


def _innermost(error: Exception) -> str:
    """Describe the innermost error: the outer ones repeat the address and the objects' names."""
    *_, innermost = (cause for cause in _causes(error) if str(cause))
    return describe(innermost)
