"""One request and what becomes of it: the real work behind it, and the answer that goes out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from mkw_airflow_provider.emulator.connections import TRANSPORT
from mkw_airflow_provider.emulator.request_log import Entry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mkw_airflow_provider.emulator.state import State


class AnswerCutError(OSError):
    """Raised into the work when its answer is cut off: nothing more can be sent."""


class Exchange:
    """
    A request whose body has been read, on its way through the faults.

    :param app: what does the real work.
    :param body: the request's body.
    :param entry: the request's line in the log; it is completed before the last byte goes out, so
        whoever has the answer also finds it in the log.
    """

    def __init__(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, body: bytes, state: State, entry: Entry
    ) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._body: bytes | None = body
        self.scope = scope
        self.state = state
        self.entry = entry

    @property
    def transport(self) -> asyncio.Transport:
        """The client's connection."""
        transport: asyncio.Transport = self.scope[TRANSPORT]
        return transport

    async def receive(self) -> Message:
        """The request's body once, then whatever the connection says."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()

    async def send(self, message: Message) -> None:
        """Send a part of the answer to the client."""
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
        elif not message.get("more_body", False):
            self.entry.finish()
        await self._send(message)

    async def work(self, send: Send | None = None) -> None:
        """
        Do the real work.

        :param send: where the real answer goes; None for the client.
        """
        with contextlib.suppress(AnswerCutError):
            await self._app(self.scope, self.receive, send or self.send)

    async def work_unseen(self, after: float | None) -> None:
        """
        Do the real work and drop its answer.

        :param after: return after these seconds even if the work goes on; None to see it through.
        """

        async def drop(message: Message) -> None:
            del message

        task = asyncio.create_task(self.work(drop))
        self.state.connections.busy(task)
        await asyncio.wait({task}, timeout=after)

    async def answer(self, response: Response) -> None:
        """Send an answer of one's own instead of the real one."""
        await response(self.scope, self.receive, self.send)

    async def gone(self) -> None:
        """Return when the connection has ended."""
        message: dict[str, Any] = {"type": ""}
        while message["type"] != "http.disconnect":
            message = dict(await self.receive())

    async def reset(self) -> None:
        """End the connection with a TCP reset."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self.gone()

    async def close(self) -> None:
        """End the connection in good order (FIN), after what has been sent so far."""
        self.transport.close()
        await self.gone()
