"""How one call is brought to an answer: token, retry, one new login."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from mkw_airflow_provider.client.api.authentication import Token, TokenCache, login
from mkw_airflow_provider.client.request import Request, Response, TransportError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    MetaKraftwerkError,
    NotAuthenticatedError,
    ProtocolError,
)

T = TypeVar("T")

SHORTEST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
#: Met by asking again, where asking again does no harm.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: The server, or a gateway that never reached it, says that it did nothing: asking again does no harm at all.
REFUSED = frozenset({425, 429})
#: A gateway gave up on an answer: nobody knows what the server did.
AMBIGUOUS = frozenset({408, 502, 503, 504})


@dataclass(frozen=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class MaskSecret:
    """Keep a text out of every log from now on."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Exclusive:
    """Run a flow while no other flow of the same key runs."""

    key: Any
    flow: Generator[Any, Any, Any]


Flow: TypeAlias = Generator[Any, Any, T]


class OutcomeUnknownError(Exception):
    """The answer to a call that must not be repeated was lost. Internal: whoever sent it looks up what came of it."""


@dataclass
class ApiSession:
    """What all flows of one connection share: settings, token, clocks, chance, log.

    :param settings: of the connection.
    :param wallet: keeps the token: the process's own for this server and user, or a fresh one.
    :param monotonic: seconds that never jump: for the outage tolerance and the token.
    :param wall: seconds since the epoch: for deadlines, which must survive a restart.
    :param random: from 0 to 1.
    :param log: for what a reader at seven in the morning wants to know.
    """

    settings: Settings
    token_cache: TokenCache
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    log: logging.Logger | Any = field(default_factory=lambda: logging.getLogger("mkw_airflow_provider"))

    def request(self, request: Request[T], until: float | None = None) -> Flow[T]:
        """Bring one call to its answer: with a token, repeated while the server is out of reach.

        :param until: epoch seconds after which no repetition starts, though the tolerance is not used up.
        :raises ConnectionFailedError: if nothing was heard for ``outage_tolerance``.
        :raises ProtocolError: if for that long no answer made sense.
        :raises ApiError: what the server said.
        :raises LostAnswerError: for a call that must not be repeated and may have been carried out.
        """
        if not request.authenticated:
            return (yield from self._repeated(request, until))
        token = yield from self.token(until=until)
        try:
            return (yield from self._repeated(request.with_token(token.value), until))
        except NotAuthenticatedError:
            if self.settings.token:
                raise
        token = yield from self.token(refused=token, until=until)
        return (yield from self._repeated(request.with_token(token.value), until))

    def token(self, refused: Token | None = None, until: float | None = None) -> Flow[Token]:
        """Return a token, logging in if there is none or the one there is was refused.

        :param refused: a token that the server no longer takes.
        """
        if self.settings.token:
            return Token.of(self.settings.token)
        current = self.token_cache.current(self.monotonic())
        if current is not None and current is not refused:
            return current
        key = (self.settings.base_url, self.settings.login)
        token: Token = yield Exclusive(key, self._log_in(refused, self.token_cache.logins, until))
        return token

    def _log_in(self, refused: Token | None, logins_before: int, until: float | None) -> Flow[Token]:
        """Log in, unless somebody else did while this flow waited for its turn: then share the outcome."""
        current = self.token_cache.current(self.monotonic())
        if current is not None and current is not refused:
            return current
        if self.token_cache.logins != logins_before and self.token_cache.failure is not None:
            raise self.token_cache.failure
        try:
            token = yield from self._repeated(login(self.settings), until)
        except MetaKraftwerkError as error:
            self.token_cache.record_failure(error)
            raise
        yield MaskSecret(token.value)
        return self.token_cache.put(token, self.monotonic())

    def _repeated(self, request: Request[T], until: float | None) -> Flow[T]:
        outage = _Outage(self, request, until)
        received = request.sink.received if request.sink else 0
        while True:
            response: Response | None = None
            try:
                response = yield request
                if request.accepts(response):
                    return request.read(response)
                problem: Exception = request.error(response, self.server_of(request) if _is_trouble(response) else "")
            except (TransportError, ProtocolError) as error:
                problem = error
            if not _may_repeat(request, response, problem):
                raise problem
            if request.sink is not None and request.sink.received > received:
                # Part of a file is a good answer, too: the tolerance counts from the newest piece.
                outage, received = _Outage(self, request, until), request.sink.received
            yield Sleep(outage.next_pause(problem, response))

    def server_of(self, request: Request[Any]) -> str:
        """Return where a call goes, for an error's text; nothing where the call itself says so, after a redirect."""
        return "" if "://" in request.path else f"at {self.settings.base_url}"


def _is_trouble(response: Response) -> bool:
    """Whether an answer is about the server and not about the request: then one wants to know which server."""
    return response.status >= 500 or response.status in PASSING


def _may_repeat(request: Request[Any], response: Response | None, problem: Exception) -> bool:
    """Whether to send a call again.

    :raises LostAnswerError: where the server may have done it already, and it must not be done twice.
    """
    if isinstance(problem, ApiError):
        if problem.status not in PASSING:
            return False
        refused = problem.status in REFUSED or (
            problem.status == 503 and response is not None and "retry-after" in response.headers
        )
        if request.is_retryable or refused:
            return True
        if problem.status in AMBIGUOUS:
            raise OutcomeUnknownError(str(problem)) from problem
        return False
    if request.is_retryable or (isinstance(problem, TransportError) and not problem.sent):
        return True
    raise OutcomeUnknownError(f"{request}: {problem}") from problem


class _Outage:
    """Counts how long a server has given no good answer to one call, and when to ask again."""

    def __init__(self, conversation: ApiSession, request: Request[Any], until: float | None) -> None:
        self._conversation = conversation
        self._call = request
        self._until = until
        self._began: float | None = None
        self._failures = 0

    def next_pause(self, problem: Exception, response: Response | None) -> float:
        """Return the seconds to wait before the next try.

        :raises MetaKraftwerkError: once the tolerance is used up.
        """
        session = self._conversation
        now = session.monotonic()
        if self._began is None:
            self._began = now
        left = session.settings.outage_tolerance - (now - self._began)
        if self._until is not None:
            left = min(left, self._until - session.wall())
        if left <= 0:
            raise self._end(problem, now - self._began) from problem
        ceiling = min(LONGEST_BACKOFF, SHORTEST_BACKOFF * 2.0 ** min(self._failures + 1, 16))
        # Full jitter: callers that failed together do not come back together.
        pause = SHORTEST_BACKOFF + (ceiling - SHORTEST_BACKOFF) * session.random()
        asked = response.retry_after(session.wall()) if response is not None else None
        pause = min(max(pause, asked or 0.0), left)
        self._failures += 1
        self._log(problem, pause, left)
        return pause

    def _log(self, problem: Exception, pause: float, left: float) -> None:
        # The first failure is worth a line, then ever fewer: an outage of minutes must not bury the rest of the log.
        loud = self._failures & (self._failures - 1) == 0
        (self._conversation.log.warning if loud else self._conversation.log.debug)(
            "%s: no good answer (%s). Asking again in %.1f s, for %.0f s more.", self._call, problem, pause, left
        )

    def _end(self, problem: Exception, seconds: float) -> MetaKraftwerkError:
        tries = self._failures + 1
        often = f"{tries} time{'' if tries == 1 else 's'}"
        note = f"asked {often} in {seconds:.0f} s; what goes on at the server is unknown"
        if isinstance(problem, ApiError):
            note = "; ".join(filter(None, (problem.note, note)))
            return type(problem)(problem.status, problem.message, problem.method, problem.path, note)
        request = f"{self._call} {self._conversation.server_of(self._call)}".rstrip()
        if isinstance(problem, ProtocolError):
            return ProtocolError(f"{request}: {problem} ({note})")
        return ConnectionFailedError(f"{request} got no answer: {problem} ({note})")
