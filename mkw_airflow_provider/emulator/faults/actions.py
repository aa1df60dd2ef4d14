"""Fault actions: each one describes its arguments and then acts on one request."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, Response, StreamingResponse

from mkw_airflow_provider.emulator.http.error_response import error_response, reason_phrase
from mkw_airflow_provider.emulator.http.exchange import HttpExchange, ResponseCutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

Seconds = Annotated[float, Field(ge=0)]


class Action(BaseModel):
    """Base of all actions; unknown arguments are errors."""

    model_config = ConfigDict(extra="forbid")

    async def apply(self, exchange: HttpExchange) -> None:
        """Respond to the request."""
        raise NotImplementedError


class ReplaceResponse(Action):
    """An action that replaces the response.

    ``work``: handle the request first and drop its real response. ``after``: with ``work``, replace the response
    after these seconds even if the request is still being handled; null to wait for its end.
    """

    work: bool = False
    after: Seconds | None = None

    async def prepare(self, exchange: HttpExchange) -> None:
        """Handle the request first, if ``work`` is set."""
        if self.work:
            await exchange.run_unseen(self.after)


class Status(ReplaceResponse):
    """Respond with a status. Without a body it is an error in the shape of the switch ``error_body``."""

    type: Literal["status"]
    status: Annotated[int, Field(ge=200, le=599)]
    headers: dict[str, str] = {}
    body: str | dict[str, Any] | list[Any] | None = None
    content_type: str | None = None

    async def apply(self, exchange: HttpExchange) -> None:
        """Respond with the status."""
        await self.prepare(exchange)
        style = exchange.switches.error_body
        if self.status in (204, 304):
            response = Response(None, self.status, self.headers)
        elif self.body is None:
            response = error_response(self.status, reason_phrase(self.status), style, self.headers)
        else:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body)
            kind = self.content_type or ("text/plain" if isinstance(self.body, str) else "application/json")
            response = Response(text, self.status, self.headers, media_type=kind)
        await exchange.respond(response)


class Gateway(ReplaceResponse):
    """Respond with the HTML page of a gateway that could not reach the API, or does not know the path."""

    type: Literal["gateway"]
    status: Annotated[int, Field(ge=200, le=599)] = 502
    headers: dict[str, str] = {}

    async def apply(self, exchange: HttpExchange) -> None:
        """Respond with the page."""
        await self.prepare(exchange)
        title = f"{self.status} {reason_phrase(self.status)}"
        head, body = f"<head><title>{title}</title></head>", f"<body><center><h1>{title}</h1></center></body>"
        page = f"<html>\r\n{head}\r\n{body}\r\n</html>\r\n"
        await exchange.respond(HTMLResponse(page, self.status, self.headers))


class Reset(ReplaceResponse):
    """Reset the TCP connection, before the request is handled or, with ``work``, after it."""

    type: Literal["reset"]

    async def apply(self, exchange: HttpExchange) -> None:
        """Reset the connection."""
        await self.prepare(exchange)
        await exchange.reset()


class Close(ReplaceResponse):
    """Close the connection without a response, before the request is handled or, with ``work``, after it."""

    type: Literal["close"]

    async def apply(self, exchange: HttpExchange) -> None:
        """Close the connection."""
        await self.prepare(exchange)
        await exchange.close()


class Delay(Action):
    """Wait ``delay`` seconds, then respond as usual."""

    type: Literal["delay"]
    delay: Seconds

    async def apply(self, exchange: HttpExchange) -> None:
        """Wait, then handle the request."""
        await asyncio.sleep(self.delay)
        await exchange.run()


class Truncate(Action):
    """Send the real headers and ``fraction`` of the body (0 to less than 1), then close the connection."""

    type: Literal["truncate"]
    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.5

    async def apply(self, exchange: HttpExchange) -> None:
        """Send a part of the real response."""
        left: int | None = None

        async def cut(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                length = headers.get(b"content-length")
                left = None if length is None else int(int(length) * self.fraction)
                await exchange.send(message)
                return
            body = message.get("body", b"")
            # A chunked response has no known length: its first chunk is the one that is cut.
            part = body[: int(len(body) * self.fraction)] if left is None else body[:left]
            if part:
                await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
            if left is None or len(part) < len(body):
                raise ResponseCutError
            left -= len(part)

        await exchange.run(cut)
        await exchange.close()


class Trickle(Action):
    """Send the real response at ``bytes_per_second``."""

    type: Literal["trickle"]
    bytes_per_second: Annotated[float, Field(gt=0)]

    async def apply(self, exchange: HttpExchange) -> None:
        """Send the real response slowly."""
        # Ten chunks a second, or one byte at a time where that is slower.
        size = max(int(self.bytes_per_second / 10), 1)

        async def slowly(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, len(body), size):
                chunk = body[start : start + size]
                await asyncio.sleep(len(chunk) / self.bytes_per_second)
                last = start + size >= len(body) and not message.get("more_body", False)
                await exchange.send({"type": "http.response.body", "body": chunk, "more_body": not last})
            if not body:
                await exchange.send(message)

        await exchange.run(slowly)


class Endless(Action):
    """Respond 200 with a body that never ends, sent in chunks as fast as the client reads."""

    type: Literal["endless"]
    content_type: str = "application/json"

    async def apply(self, exchange: HttpExchange) -> None:
        """Send until the client disconnects."""

        async def chunks() -> AsyncIterator[bytes]:
            yield b"["
            while True:
                yield b" " * 65536
                # Sending does not block while the client keeps up; this lets other tasks run.
                await asyncio.sleep(0)

        sending = asyncio.create_task(exchange.respond(StreamingResponse(chunks(), media_type=self.content_type)))
        exchange.connections.track(sending)
        await exchange.wait_for_disconnect()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


class Nested(Action):
    """Respond 200 with JSON arrays nested ``depth`` deep."""

    type: Literal["nested"]
    depth: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000

    async def apply(self, exchange: HttpExchange) -> None:
        """Send the nested arrays."""
        await exchange.respond(Response("[" * self.depth + "]" * self.depth, media_type="application/json"))


class Redirect(Action):
    """Respond with a redirect to ``location``."""

    type: Literal["redirect"]
    location: str
    status: Literal[301, 302, 303, 307, 308] = 302

    async def apply(self, exchange: HttpExchange) -> None:
        """Redirect."""
        await exchange.respond(Response(status_code=self.status, headers={"location": self.location}))


class Expired(Action):
    """Respond 401 as for an expired token."""

    type: Literal["expired"]

    async def apply(self, exchange: HttpExchange) -> None:
        """Refuse the token."""
        switches = exchange.switches
        await exchange.respond(error_response(401, switches.expired_message, switches.error_body))


AnyAction = Annotated[
    Status | Gateway | Reset | Close | Delay | Truncate | Trickle | Endless | Nested | Redirect | Expired,
    Field(discriminator="type"),
]
