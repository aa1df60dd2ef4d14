"""How one call is brought to an answer: token, retry, one new login."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from mkw_airflow_provider.client.authentication import Token, Wallet, login
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.text import foreign_text, remember_secrets
from mkw_airflow_provider.client.wire import Call, Reply, TransportError
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
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Secret:
    """Keep a text out of every log from now on."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Alone:
    """Run a flow while no other flow of the same key runs."""

    key: Any
    flow: Generator[Any, Any, Any]


Flow: TypeAlias = Generator[Any, Any, T]


class LostAnswerError(Exception):
    """The answer to a call that must not be repeated was lost. Internal: whoever sent it looks up what came of it."""


@dataclass
class Conversation:
    """What all flows of one connection share: settings, token, clocks, chance, log.

    :param settings: of the connection.
    :param wallet: keeps the token: the process's own for this server and user, or a fresh one.
    :param monotonic: seconds that never jump: for the outage tolerance and the token.
    :param wall: seconds since the epoch: for deadlines, which must survive a restart.
    :param random: from 0 to 1.
    :param log: for what a reader at seven in the morning wants to know.
    """

    settings: Settings
    wallet: Wallet
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    log: logging.Logger | Any = field(default_factory=lambda: logging.getLogger("mkw_airflow_provider"))

    def __post_init__(self) -> None:
        remember_secrets(*self.settings.secrets, login=self.settings.login)

    def request(self, call: Call[T], until: float | None = None) -> Flow[T]:
        """Bring one call to its answer: with a token, repeated while the server is out of reach.

        :param until: epoch seconds after which no repetition starts, though the tolerance is not used up.
        :raises ConnectionFailedError: if nothing was heard for ``outage_tolerance``.
        :raises ProtocolError: if for that long no answer made sense.
        :raises ApiError: what the server said.
        :raises LostAnswerError: for a call that must not be repeated and may have been carried out.
        """
        if not call.authenticated:
            return (yield from self._repeated(call, until))
        token = yield from self.token(until=until)
        try:
            return (yield from self._repeated(call.with_token(token.value), until))
        except NotAuthenticatedError:
            if self.settings.token:
                raise
        token = yield from self.token(refused=token, until=until)
        return (yield from self._repeated(call.with_token(token.value), until))

    def token(self, refused: Token | None = None, until: float | None = None) -> Flow[Token]:
        """Return a token, logging in if there is none or the one there is was refused.

        :param refused: a token that the server no longer takes.
        """
        if self.settings.token:
            return Token.of(self.settings.token)
        current = self.wallet.current(self.monotonic())
        if current is not None and current is not refused:
            return current
        key = (self.settings.base_url, self.settings.login)
        token: Token = yield Alone(key, self._log_in(refused, self.wallet.logins, until))
        return token

    def _log_in(self, refused: Token | None, logins_before: int, until: float | None) -> Flow[Token]:
        """Log in, unless somebody else did while this flow waited for its turn: then share the outcome."""
        current = self.wallet.current(self.monotonic())
        if current is not None and current is not refused:
            return current
        if self.wallet.logins != logins_before and self.wallet.failure is not None:
            raise self.wallet.failure
        try:
            token = yield from self._repeated(login(self.settings), until)
        except MetaKraftwerkError as error:
            self.wallet.give_up(error)
            raise
        yield Secret(token.value)
        return self.wallet.put(token, self.monotonic())

    def _repeated(self, call: Call[T], until: float | None) -> Flow[T]:
        for secret in call.secrets:
            yield Secret(secret)
        outage = _Outage(self, call, until)
        received = call.sink.received if call.sink else 0
        while True:
            reply: Reply | None = None
            try:
                reply = yield call
                if call.accepts(reply):
                    return call.read(reply)
                problem: Exception = call.error(reply, self.server_of(call) if _is_trouble(reply) else "")
            except (TransportError, ProtocolError) as error:
                problem = _without_secrets(call, error)
            if not _may_repeat(call, reply, problem):
                raise problem
            if call.sink is not None and call.sink.received > received:
                # Part of a file is a good answer, too: the tolerance counts from the newest piece.
                outage, received = _Outage(self, call, until), call.sink.received
            yield Pause(outage.next_pause(problem, reply))

    def server_of(self, call: Call[Any]) -> str:
        """Return where a call goes, for an error's text; nothing where the call itself says so, after a redirect."""
        return "" if "://" in call.path else f"at {self.settings.base_url}"


def _is_trouble(reply: Reply) -> bool:
    """Whether an answer is about the server and not about the request: then one wants to know which server."""
    return reply.status >= 500 or reply.status in PASSING


def _without_secrets(call: Call[Any], error: Exception) -> Exception:
    """Return a transport's error without what must not be shown; it may quote a body, a header or an address."""
    if not isinstance(error, TransportError) or not (call.is_confidential or call.secrets):
        return error
    text = str(error)
    if call.is_confidential and error.sent:
        text = text.partition(":")[0]
    # A new one, because the traceback of the old one shows what the library said.
    return TransportError(foreign_text(text, secrets=call.secrets), sent=error.sent)


def _may_repeat(call: Call[Any], reply: Reply | None, problem: Exception) -> bool:
    """Whether to send a call again.

    :raises LostAnswerError: where the server may have done it already, and it must not be done twice.
    """
    if isinstance(problem, ApiError):
        if problem.status not in PASSING:
            return False
        refused = problem.status in REFUSED or (
            problem.status == 503 and reply is not None and "retry-after" in reply.headers
        )
        if call.is_repeatable or refused:
            return True
        if problem.status in AMBIGUOUS:
            raise LostAnswerError(str(problem)) from problem
        return False
    if call.is_repeatable or (isinstance(problem, TransportError) and not problem.sent):
        return True
    raise LostAnswerError(f"{call}: {problem}") from problem


class _Outage:
    """Counts how long a server has given no good answer to one call, and when to ask again."""

    def __init__(self, conversation: Conversation, call: Call[Any], until: float | None) -> None:
        self._conversation = conversation
        self._call = call
        self._until = until
        self._began: float | None = None
        self._failures = 0

    def next_pause(self, problem: Exception, reply: Reply | None) -> float:
        """Return the seconds to wait before the next try.

        :raises MetaKraftwerkError: once the tolerance is used up.
        """
        talk = self._conversation
        now = talk.monotonic()
        if self._began is None:
            self._began = now
        left = talk.settings.outage_tolerance - (now - self._began)
        if self._until is not None:
            left = min(left, self._until - talk.wall())
        if left <= 0:
            raise self._end(problem, now - self._began) from problem
        ceiling = min(LONGEST_BACKOFF, SHORTEST_BACKOFF * 2.0 ** min(self._failures + 1, 16))
        # Full jitter: callers that failed together do not come back together.
        pause = SHORTEST_BACKOFF + (ceiling - SHORTEST_BACKOFF) * talk.random()
        asked = reply.retry_after(talk.wall()) if reply is not None else None
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
        call = f"{self._call} {self._conversation.server_of(self._call)}".rstrip()
        if isinstance(problem, ProtocolError):
            return ProtocolError(f"{call}: {problem} ({note})")
        return ConnectionFailedError(f"{call} got no answer: {problem} ({note})")
