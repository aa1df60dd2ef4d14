"""What a fault does to an answer. Each action says how it is set and then acts on the wire."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from mkw_airflow_provider.emulator import errors
from mkw_airflow_provider.emulator.exchange import AnswerCutError, Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

Seconds = Annotated[float, Field(ge=0)]


class Action(BaseModel):
    """Base of all actions: unknown arguments are errors."""

    model_config = ConfigDict(extra="forbid")

    async def apply(self, exchange: Exchange) -> None:
        """Answer the exchange in this action's way."""
        raise NotImplementedError


class Working(Action):
    """
    An action that may do the real work first.

    ``work``: do it before the answer is replaced. ``after``: with ``work``, seconds after which the answer is
    replaced even if the work goes on; null to see the work through.
    """

    work: bool = False
    after: Seconds | None = None

    async def prepare(self, exchange: Exchange) -> None:
        """Do the real work, if it is wanted."""
        if self.work:
            await exchange.work_unseen(self.after)


class Status(Working):
    """Answer with a status. Without a body it is an error in the shape of the switch ``error_body``."""

    type: Literal["status"]
    status: Annotated[int, Field(ge=200, le=599)]
    headers: dict[str, str] = {}
    body: str | dict[str, Any] | list[Any] | None = None
    content_type: str | None = None

    async def apply(self, exchange: Exchange) -> None:
        """Answer with the status."""
        await self.prepare(exchange)
        style = exchange.state.switches.error_body
        if self.status in (204, 304):
            response = Response(None, self.status, self.headers)
        elif self.body is None:
            response = errors.answer(self.status, errors.phrase(self.status), style, self.headers)
        else:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body)
            kind = self.content_type or ("text/plain" if isinstance(self.body, str) else "application/json")
            response = Response(text, self.status, self.headers, media_type=kind)
        await exchange.answer(response)


class Reset(Working):
    """End the connection with a TCP reset, before the work or, with ``work``, after it."""

    type: Literal["reset"]

    async def apply(self, exchange: Exchange) -> None:
        """Reset the connection."""
        await self.prepare(exchange)
        await exchange.reset()


class Close(Working):
    """End the connection in good order without an answer, before the work or, with ``work``, after it."""

    type: Literal["close"]

    async def apply(self, exchange: Exchange) -> None:
        """Close the connection."""
        await self.prepare(exchange)
        await exchange.close()


class Delay(Action):
    """Wait ``delay`` seconds, then go on as usual."""

    type: Literal["delay"]
    delay: Seconds

    async def apply(self, exchange: Exchange) -> None:
        """Wait, then do the real work."""
        await asyncio.sleep(self.delay)
        await exchange.work()


class Truncate(Action):
    """Send the real answer's headers and ``fraction`` of its body (0 to less than 1), then close the connection."""

    type: Literal["truncate"]
    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.5

    async def apply(self, exchange: Exchange) -> None:
        """Send a part of the real answer."""
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
            # A chunked answer has no known length: its first piece is the one that is cut.
            part = body[: int(len(body) * self.fraction)] if left is None else body[:left]
            if part:
                await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
            if left is None or len(part) < len(body):
                raise AnswerCutError
            left -= len(part)

        await exchange.work(cut)
        await exchange.close()


class Trickle(Action):
    """Send the real answer at ``bytes_per_second``."""

    type: Literal["trickle"]
    bytes_per_second: Annotated[float, Field(gt=0)]

    async def apply(self, exchange: Exchange) -> None:
        """Send the real answer slowly."""
        # Ten pieces a second, or one byte at a time where that is slower.
        size = max(int(self.bytes_per_second / 10), 1)

        async def slowly(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, len(body), size):
                piece = body[start : start + size]
                await asyncio.sleep(len(piece) / self.bytes_per_second)
                last = start + size >= len(body) and not message.get("more_body", False)
                await exchange.send({"type": "http.response.body", "body": piece, "more_body": not last})
            if not body:
                await exchange.send(message)

        await exchange.work(slowly)


class Endless(Action):
    """Answer 200 with a body that never ends, sent in chunks as fast as the client reads."""

    type: Literal["endless"]
    content_type: str = "application/json"

    async def apply(self, exchange: Exchange) -> None:
        """Send until the client goes."""

        async def pieces() -> AsyncIterator[bytes]:
            yield b"["
            while True:
                yield b" " * 65536
                # Sending returns at once as long as the client keeps up: others must have their turn.
                await asyncio.sleep(0)

        sending = asyncio.create_task(exchange.answer(StreamingResponse(pieces(), media_type=self.content_type)))
        exchange.state.connections.busy(sending)
        await exchange.gone()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


class Nested(Action):
    """Answer 200 with JSON arrays nested ``depth`` deep."""

    type: Literal["nested"]
    depth: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000

    async def apply(self, exchange: Exchange) -> None:
        """Send the nested arrays."""
        await exchange.answer(Response("[" * self.depth + "]" * self.depth, media_type="application/json"))


class Redirect(Action):
    """Answer with a redirect to ``location``."""

    type: Literal["redirect"]
    location: str
    status: Literal[301, 302, 303, 307, 308] = 302

    async def apply(self, exchange: Exchange) -> None:
        """Redirect."""
        await exchange.answer(Response(status_code=self.status, headers={"location": self.location}))


class Expired(Action):
    """Answer 401 as for an expired token."""

    type: Literal["expired"]

    async def apply(self, exchange: Exchange) -> None:
        """Refuse the token."""
        switches = exchange.state.switches
        await exchange.answer(errors.answer(401, switches.expired_message, switches.error_body))


AnyAction = Annotated[
    Status | Reset | Close | Delay | Truncate | Trickle | Endless | Nested | Redirect | Expired,
    Field(discriminator="type"),
]
