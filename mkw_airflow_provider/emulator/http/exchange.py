"""One HTTP request and its response, which a fault may replace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from mkw_airflow_provider.emulator.http.connections import TRANSPORT, Connections
from mkw_airflow_provider.emulator.state.request_log import Entry
from mkw_airflow_provider.emulator.state.switches import Switches

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ResponseCutError(OSError):
    """Raised into the application when its response is cut off: nothing more can be sent."""


class HttpExchange:
    """A request whose body has been read, and the ways to respond to it.

    :param app: the application that handles the request.
    :param body: the request's body.
    :param connections: where tasks of this request are tracked.
    :param switches: the switches that shape error responses.
    :param entry: the request's entry in the log; it is completed before the last byte is sent, so
        a client that has the response also finds it in the log.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        body: bytes,
        connections: Connections,
        switches: Switches,
        entry: Entry,
    ) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._body: bytes | None = body
        self.scope = scope
        self.connections = connections
        self.switches = switches
        self.entry = entry

    @property
    def transport(self) -> asyncio.Transport:
        """The client's connection."""
        transport: asyncio.Transport = self.scope[TRANSPORT]
        return transport

    async def receive(self) -> Message:
        """Return the request's body once, then the messages of the connection."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a part of the response to the client."""
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
            date = formatdate(time.time() + self.switches.date_skew_seconds, usegmt=True)
            message["headers"] = [*message.get("headers", ()), (b"date", date.encode())]
        elif not message.get("more_body", False):
            self.entry.finish()
        await self._send(message)

    async def run(self, send: Send | None = None) -> None:
        """Handle the request.

        :param send: receives the response instead of the client.
        """
        with contextlib.suppress(ResponseCutError):
            await self._app(self.scope, self.receive, send or self.send)

    async def run_unseen(self, after: float | None) -> None:
        """Handle the request and drop its response.

        :param after: return after these seconds even if the request is still being handled; None to wait for its end.
        """

        async def drop(message: Message) -> None:
            del message

        task = asyncio.create_task(self.run(drop))
        self.connections.track(task)
        await asyncio.wait({task}, timeout=after)

    async def respond(self, response: Response) -> None:
        """Send this response instead of the application's."""
        await response(self.scope, self.receive, self.send)

    async def wait_for_disconnect(self) -> None:
        """Return when the connection has ended."""
        message: dict[str, Any] = {"type": ""}
        while message["type"] != "http.disconnect":
            message = dict(await self.receive())

    async def reset(self) -> None:
        """Abort the connection with a TCP reset."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self.wait_for_disconnect()

    async def close(self) -> None:
        """Close the connection (FIN) after what has been sent so far."""
        self.transport.close()
        await self.wait_for_disconnect()
