"""The transport on requests: sends one call, runs one flow, streams a body."""

from __future__ import annotations

import http.client
import io
import math
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import requests
import requests.adapters
import urllib3
import urllib3.connection

from mkw_airflow_provider.client.flows import Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep
from mkw_airflow_provider.client.request import NOT_WHOLE, PIECE, SLOWEST_ANSWER, Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports.network import in_words, proxy_for, tls_context
from mkw_airflow_provider.exceptions import ProtocolError

T = TypeVar("T")

POOL = 10
#: A file that comes slower than this many bytes within a read time-out counts as broken off.
SLOWEST_FILE = 1024

_turns: dict[Any, threading.Lock] = {}
_turns_lock = threading.Lock()


def _forget_locks() -> None:
    global _turns_lock
    _turns.clear()
    _turns_lock = threading.Lock()


# What another thread holds when a process forks would stay locked in the child.
os.register_at_fork(after_in_child=_forget_locks)


class StoppedError(Exception):
    """A flow was ended from outside by :meth:`Client.stop`."""


@contextmanager
def _connecting(connection: urllib3.connection.HTTPConnection) -> Iterator[None]:
    """Tell what fails before a request is sent, be it name, proxy or TLS, from what fails later."""
    try:
        yield
    except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        raise urllib3.exceptions.NewConnectionError(connection, str(error)) from error


class _Source(io.RawIOBase):
    """Reads an answer from its socket until a moment: the socket's own time-out begins anew with each byte.

    :param raw: what the socket gives.
    :param patience: seconds from now.
    """

    def __init__(self, raw: io.RawIOBase, patience: float) -> None:
        self._raw = raw
        self.allow(patience, NOT_WHOLE)

    def allow(self, patience: float, overdue: str) -> None:
        """Set the moment anew.

        :param patience: seconds from now.
        :param overdue: what to say when they are over.
        """
        self._ends, self._overdue = time.monotonic() + patience, overdue

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._ends:
            raise TimeoutError(self._overdue)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that must be whole in time: head, body and what stands between and behind its chunks."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        raw: Any = self.fp
        self.source = _Source(raw.detach(), SLOWEST_ANSWER * (sock.gettimeout() or math.inf))
        self.fp = io.BufferedReader(self.source)


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer

    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _Answer

    def connect(self) -> None:
        with _connecting(self):
            super().connect()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """Keeps the connections. Used without a session, which would read a redirect's body whole, and keep cookies.

    :param context: the TLS context, made the same way for the other transport; None for plain HTTP.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        super().__init__(pool_maxsize=POOL)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        context = {"ssl_context": self._context, "proxy_ssl_context": self._context}
        manager = super().proxy_manager_for(proxy, **options, **context)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the connection as it is: the context has the certificates."""


class Client:
    """Sends calls and runs flows in the calling thread. May be used by several threads at once.

    :param settings: of the connection.
    :param user_agent: what the client calls itself.
    :param mask: keeps a text out of every log.
    """

    def __init__(self, settings: Settings, user_agent: str, mask: Callable[[str], object]) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._mask = mask
        self._stopped = threading.Event()

    @cached_property
    def _plain(self) -> _Adapter:
        return _Adapter()

    @cached_property
    def _secure(self) -> _Adapter:
        return _Adapter(tls_context(self._settings))

    def stop(self) -> None:
        """End every flow of this client at its next pause or piece, whatever thread it runs in."""
        self._stopped.set()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        for name in ("_plain", "_secure"):
            adapter = self.__dict__.pop(name, None)
            if adapter is not None:
                adapter.close()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return what it returns, or raise what it raises."""
        outcome: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.send(outcome) if failure is None else flow.throw(failure)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            try:
                outcome, failure = self._do(step), None
            except Exception as error:  # the flow knows what to make of it
                outcome, failure = None, error

    def _do(self, step: Any) -> Any:
        if isinstance(step, Request):
            return self.send(step)
        if isinstance(step, Sleep):
            return self._go_on(after=step.seconds)
        if isinstance(step, MaskSecret):
            return self._mask(step.value)
        if isinstance(step, Exclusive):
            with _turns_lock:
                turn = _turns.setdefault(step.key, threading.Lock())
            if not turn.acquire(timeout=-1 if step.timeout is None else max(0.0, step.timeout)):
                raise TimeoutError
            try:
                return self.run(step.flow)
            finally:
                turn.release()
        if isinstance(step, Offload):
            return step.function()
        if isinstance(step, ReadConnection):
            return step.read()
        raise TypeError(f"a flow yielded {step!r}")

    def _go_on(self, after: float = 0.0) -> None:
        if self._stopped.wait(after):
            raise StoppedError

    def send(self, call: Request[Any]) -> Response:
        """Send one request.

        :raises TransportError: if no whole answer came.
        :raises ProtocolError: if the answer is larger than it may be.
        """
        url = call.url(self._settings.base_url)
        proxy = proxy_for(self._settings, url)
        adapter = self._secure if url.startswith("https:") else self._plain
        try:
            request = requests.Request(
                call.method, url, headers=call.request_headers(self._user_agent), data=call.content
            ).prepare()
            request.url = url  # as it is: the path is quoted already
            response = adapter.send(
                request,
                stream=True,
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                verify=self._settings.verify is not False,
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
            with response:
                return self._receive(call, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise TransportError(_in_words(error), sent=_may_have_arrived(error)) from error

    def _receive(self, call: Request[Any], response: requests.Response) -> Response:
        reply = Response(response.status_code, {name.lower(): value for name, value in response.headers.items()})
        if call.sink is not None and reply.ok:
            call.sink.begin(reply)
            for piece in self._stream(response):
                self._go_on()
                call.sink.write(piece)
            return reply
        limit = call.body_limit(reply.status)
        return Response(reply.status, reply.headers, self._body(call, response, reply, limit))

    def _body(self, call: Request[Any], response: requests.Response, reply: Response, limit: int) -> bytes:
        body = bytearray()
        while piece := response.raw.read1(64 * 1024, decode_content=True):
            body += piece
            if len(body) > limit:
                # What follows is left unread, and the connection with it.
                response.raw.close()
                if reply.ok:
                    raise ProtocolError(f"the answer to {call} is larger than {limit} bytes")
                return bytes(body[:limit])
        return bytes(body)

    def _stream(self, response: requests.Response) -> Iterator[bytes]:
        patience = self._settings.read_timeout
        answer: Any = response.raw._original_response  # noqa: SLF001  # there is no other way to it
        began, size = time.monotonic(), 0
        while True:
            # A file may take long, as long as something of it comes.
            answer.source.allow(patience, "no piece of the file came within a read time-out")
            piece = response.raw.read1(PIECE, decode_content=True)
            if not piece:
                return
            yield piece
            size += len(piece)
            now = time.monotonic()
            if now - began > patience:
                if size < SLOWEST_FILE:
                    raise TransportError(f"only {size} bytes came within {now - began:.0f} s", sent=True)
                began, size = now, 0


def _may_have_arrived(error: Exception) -> bool:
    """Whether a request may have reached the server, so that nobody knows what the server did."""
    return not any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is wrapped in it, which these libraries do by arguments, ``reason`` and ``__cause__``.

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


def _in_words(error: Exception) -> str:
    """Return the innermost error's own words: the outer ones repeat the address and the objects' names."""
    *_, innermost = (cause for cause in _causes(error) if str(cause))
    return in_words(innermost)
