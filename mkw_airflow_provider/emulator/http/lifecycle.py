"""Start and stop uvicorn in a thread; count its connections and hand their transports to the application."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mkw_airflow_provider.emulator.http.connections import TRANSPORT, Connections

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:
    PROTOCOL: Any = H11Protocol
else:
    # Faster, but an extra of uvicorn.
    PROTOCOL = HttpToolsProtocol

# Above the idle time of usual clients, so that the clients close idle connections.
KEEP_ALIVE_SECONDS = 75


def counting_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, extended to count connections and to pass on their transports.

    :param connections: where they are counted.
    """

    class CountingProtocol(PROTOCOL):  # type: ignore[misc]
        app: ASGIApp

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            # asyncio sets it only where the listener names its protocol; without it each kept connection waits 40 ms.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.add(transport)
            app = self.app

            async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
                scope[TRANSPORT] = transport
                await app(scope, receive, send)

            self.app = with_transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.remove(self.transport)
            super().connection_lost(exc)

    return CountingProtocol


class Server(uvicorn.Server):
    """A uvicorn server for a thread other than the main one.

    :param app: the application to serve.
    :param connections: where its connections are counted.
    :param tls: files of certificate and key.
    """

    def __init__(self, app: ASGIApp, connections: Connections, *, tls: tuple[str, str | None] | None) -> None:
        cert, key = tls or (None, None)
        super().__init__(
            uvicorn.Config(
                app,
                http=counting_protocol(connections),
                # asyncio's own loop: its transports give access to the socket, which a TCP reset needs.
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                # The exchange sends it, shifted by the switch date_skew_seconds.
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                ssl_certfile=cert,
                ssl_keyfile=key,
            )
        )
        # Here and not in the thread, so that an unreadable certificate is an error of the caller.
        self.config.load()
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and wake the thread in :meth:`wait_until_ready`."""
        await super().startup(sockets=sockets)
        self._connections.stopping = False
        self._loop = asyncio.get_running_loop()
        self._ready.set()

    def wait_until_ready(self, thread: threading.Thread) -> None:
        """Return when the server responds.

        :param thread: the thread that runs this server.
        :raises RuntimeError: if it ended instead.
        """
        while not self._ready.wait(0.05):
            if not thread.is_alive():
                raise RuntimeError("The emulator's server did not start; see its log.")

    def end(self) -> None:
        """Stop the server, from another thread. Running requests are aborted."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        # Listeners first: a client that reconnects immediately must not reach a server that is stopping.
        for listener in self.servers:
            listener.close()
        self._connections.abort()
