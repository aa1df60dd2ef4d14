"""Flows without sockets and sleeping: a clock, a scripted server, and a client that runs flows."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pendulum
from hypothesis import settings as hypothesis_settings

from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.flows import ApiSession, Exclusive, Flow, MaskSecret, Offload, ReadConnection, Sleep
from mkw_airflow_provider.client.request import Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.client.transports.stopping import StopSignal
from tests.kit.clock import NIGHT, Clock
from tests.kit.driver import drive

T = TypeVar("T")

__all__ = [
    "FIRST_TOKEN",
    "NIGHT",
    "PROPERTY",
    "USER_ID",
    "Body",
    "Course",
    "World",
    "body",
    "build",
    "html",
    "http_error",
    "lost",
    "ok",
    "redirect",
    "unreachable",
]

#: For property tests: the same examples in every run, so that failures are reproducible.
PROPERTY = hypothesis_settings(deadline=None, derandomize=True)

#: The user whose builds these are, and the token that the world begins with.
USER_ID = 7
FIRST_TOKEN = "first-token"  # nothing secret


def ok(value: Any, status: int = 200, **headers: str) -> Response:
    """Return a response with a JSON body."""
    return Response(status, _headers({"content-type": "application/json", **headers}), json.dumps(value).encode())


def http_error(status: int, message: str = "Not today", **headers: str) -> Response:
    """Return a response with an error body."""
    return ok({"message": message, "code": status}, status, **headers)


def html(status: int = 200) -> Response:
    """Return the HTML page of a gateway."""
    return Response(status, {"content-type": "text/html"}, b"<html><body>Back soon</body></html>")


def redirect(location: str, status: int = 302) -> Response:
    return Response(status, {"location": location})


def lost(text: str = "connection reset") -> TransportError:
    """The request may have arrived, the response did not."""
    return TransportError(text, sent=True)


def unreachable(text: str = "connection refused") -> TransportError:
    """The request certainly never arrived."""
    return TransportError(text, sent=False)


def build(number: int = 5139, status: Any = "BUILDING", **fields: Any) -> dict[str, Any]:
    """A build as the API shows it."""
    return {"id": number, "status": status, **fields}


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Body:
    """A response whose body goes into the request's sink in pieces, as a transport delivers it.

    :param breaks: what happens after the last piece instead of the end.
    """

    pieces: Iterable[bytes]
    reply: Response
    breaks: Exception | None = None


def body(*pieces: bytes, status: int = 200, breaks: Exception | None = None, **headers: str) -> Body:
    return Body(pieces, Response(status, _headers(headers)), breaks)


@dataclass(frozen=True)
class Sent:
    """A request, when it was sent, in seconds since the world began, and its headers."""

    at: float
    call: Request[Any]
    headers: dict[str, str] = field(repr=False)

    @property
    def path(self) -> str:
        return self.call.target.removeprefix("/api/v1")

    @property
    def line(self) -> str:
        return f"{self.call.method} {self.path}"


Server = Callable[[Request[Any]], Any]


class World:
    """Runs flows as a transport does, against a server that is a function, in simulated time.

    :param settings: what differs from those of the standard connection.
    """

    def __init__(self, **settings: Any) -> None:
        given = {"login": "me@example.com", "password": "only-i-know", **settings}
        self.settings = Settings("https://mkw.example.com", **given)
        self.clock = Clock()
        self.token_cache = TokenCache()
        self.token_cache.store(Token(FIRST_TOKEN, user_id=USER_ID), self.clock.monotonic())
        self.chances: deque[float] = deque()
        self.chance = 1.0
        self.latency = 0.0
        self.server: Server = self._nobody
        self.sent: list[Sent] = []
        self.secrets: list[str] = []
        self.stop = StopSignal()
        self.lines: list[tuple[str, str]] = []
        log = logging.Logger("world", logging.DEBUG)
        log.addHandler(_Keeper(self.lines))
        self.session = ApiSession(
            self.settings,
            self.token_cache,
            monotonic=self.clock.monotonic,
            wall=self.clock.wall,
            random=self._random,
            log=log,
        )

    @property
    def now(self) -> float:
        """Seconds since the world began, by the clock that never jumps."""
        return self.clock.elapsed

    @property
    def pauses(self) -> list[float]:
        """The pauses of all flows."""
        return self.clock.pauses

    def script(self, *responses: Any, forever: Any = None) -> None:
        """Let the server send these responses one after the other; ``forever`` from then on."""
        waiting = deque(responses)

        def serve(call: Request[Any]) -> Any:
            if waiting:
                return waiting.popleft()
            assert forever is not None, f"{call} was not expected"
            return forever

        self.server = serve

    def run(self, flow: Flow[T], stop: StopSignal | None = None) -> T:
        """Run a flow to its end, as a transport does."""
        self.stop = stop or self.stop
        return drive(flow, self.do)

    def do(self, step: Any) -> Any:
        """Do one step of a flow."""
        if isinstance(step, Request):
            return self._send(step)
        if isinstance(step, Sleep):
            self.stop.check()
            return self.clock.sleep(step.seconds)
        if isinstance(step, MaskSecret):
            return self.secrets.append(step.value)
        if isinstance(step, ReadConnection):
            return step.read()
        if isinstance(step, Offload):
            return step.function()
        assert isinstance(step, Exclusive), step
        return self.run(step.flow)

    def logged(self, *levels: str) -> list[str]:
        """What was logged at these levels; without any: at all but DEBUG."""
        return [text for level, text in self.lines if (level in levels if levels else level != "DEBUG")]

    @property
    def requested(self) -> list[str]:
        """Method, path and query of every request, without the login."""
        return [sent.line for sent in self.sent if sent.call.authenticated]

    def _send(self, call: Request[Any]) -> Response:
        self.sent.append(Sent(self.now, call, call.request_headers("test")))
        self.clock.advance(self.latency)
        response = self.server(call)
        if isinstance(response, Exception):
            raise response
        if isinstance(response, Body):
            return self._stream(call, response)
        assert isinstance(response, Response), response
        return response

    def _stream(self, call: Request[Any], response: Body) -> Response:
        assert call.sink is not None
        assert response.reply.ok
        call.sink.begin(response.reply)
        for piece in response.pieces:
            self.stop.check()
            call.sink.write(piece)
        if response.breaks is not None:
            raise response.breaks
        return response.reply

    def _random(self) -> float:
        return self.chances.popleft() if self.chances else self.chance

    @staticmethod
    def _nobody(call: Request[Any]) -> Any:
        raise AssertionError(f"{call}: no response is scripted")


class _Keeper(logging.Handler):
    def __init__(self, lines: list[tuple[str, str]]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.levelname, record.getMessage()))


@dataclass
class Course:
    """A build on a simulated server: what it shows after how many seconds.

    :param seconds: how long it takes.
    :param ending: its status from then on.
    :param progress: the percentage that it shows after a share of its time; None: it shows none.
    :param begins: how many seconds after the start of the world it starts.
    """

    seconds: float
    ending: str = "FINISHED"
    progress: Callable[[float], int] | None = None
    begins: float = 0.0
    shows_start: bool = True

    def serve(self, world: World) -> Server:
        """Return a server on which the build runs."""

        def response(call: Request[Any]) -> Response:
            return ok(self.at(world.now))

        return response

    def at(self, seconds: float) -> dict[str, Any]:
        share = (seconds - self.begins) / self.seconds
        shown = build(status="BUILDING" if share < 1 else self.ending)
        if self.progress is not None:
            shown["progress"] = self.progress(share) if share < 1 else 100
        if self.shows_start:
            shown["build_start"] = _iso(NIGHT + self.begins)
        return shown


def _iso(epoch: float) -> str:
    return pendulum.from_timestamp(epoch).to_iso8601_string()
