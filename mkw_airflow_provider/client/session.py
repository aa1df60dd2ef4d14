"""One request with everything around it: token, retry, new login."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from mkw_airflow_provider.client.api.authentication import Token, login
from mkw_airflow_provider.client.known_secrets import SHORTEST_INSIDE_A_WORD, remember_secrets
from mkw_airflow_provider.client.request import Request, Response, TransportError
from mkw_airflow_provider.client.retry import Backoff, Fail, Failure, OutcomeUnknown, classify
from mkw_airflow_provider.client.rows import Rows
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.token_cache import TokenCache, cache_key, token_cache_for
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    MetaKraftwerkError,
    NotAuthenticatedError,
    ProtocolError,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Sleep:
    """Wait for a number of seconds."""

    seconds: float


@dataclass(frozen=True)
class MaskSecret:
    """Mask a text in every log from now on."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Exclusive:
    """Run a flow while no other flow with the same key runs.

    :param timeout: seconds to wait for the other one; then ``TimeoutError`` is raised in the flow. None: no limit.
    """

    key: Any
    flow: Generator[Any, Any, Any]
    timeout: float | None = None


@dataclass(frozen=True)
class Offload:
    """Run a function that takes long, outside the event loop if there is one."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class ReadConnection:
    """Read the Airflow connection again.

    :param read: returns the settings; in a triggerer a coroutine function.
    """

    read: Callable[[], Any]


Flow: TypeAlias = Generator[Any, Any, T]


class OutcomeUnknownError(Exception):
    """A request that changes state may have been processed, or not. Internal: the sender checks what became of it.

    :param request: the request.
    :param error: what happened instead of a usable response.
    """

    def __init__(self, request: Request[Any], error: Exception) -> None:
        super().__init__(str(error) if isinstance(error, ApiError) else f"{request}: {error}")
        self.request = request
        self.error = error


@dataclass
class ApiSession:
    """What all flows of one connection share.

    :param settings: of the connection.
    :param token_cache: the process's token cache for these settings, or a new one.
    :param monotonic: seconds that never jump, for the outage tolerance and the token.
    :param wall: seconds since the epoch, for deadlines, which must survive a restart.
    :param random: returns a number from 0 to 1.
    :param log: receives retries and warnings.
    :param reload_settings: reads the Airflow connection again, because its password or token may have been rotated; in
        a triggerer a coroutine function. None: the settings never change.
    """

    settings: Settings
    token_cache: TokenCache
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    log: logging.Logger | Any = field(default_factory=lambda: logging.getLogger("mkw_airflow_provider"))
    reload_settings: Callable[[], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        #: Seconds by which the server's clock is ahead of this one; None before the first response with a ``Date``.
        self.clock_offset: float | None = None
        self._remember_credentials()

    def _remember_credentials(self) -> None:
        remember_secrets(*self.settings.secrets, login=self.settings.login)

    def server_time(self) -> float:
        """Return the time on the server's clock, in seconds since the epoch."""
        return self.wall() + (self.clock_offset or 0.0)

    def request(self, request: Request[T], until: float | None = None) -> Flow[T]:
        """Send a request and return what its response says: with a token, retried while the server is unavailable.

        :param until: epoch seconds after which no further attempt starts, even within the outage tolerance.
        :raises ConnectionFailedError: if there was no response within ``outage_tolerance``.
        :raises ProtocolError: if within that time no response made sense.
        :raises ApiError: for an error response.
        :raises OutcomeUnknownError: for a request that changes state and may have been processed.
        """
        if not request.authenticated:
            return (yield from self._send(request, until))
        try:
            return (yield from self._send_with_token(request, until))
        except NotAuthenticatedError as error:
            refused = error
        if not (yield from self._reload_credentials()):
            raise refused
        return (yield from self._send_with_token(request, until))

    def _send_with_token(self, request: Request[T], until: float | None) -> Flow[T]:
        """Send a request; after a 401 log in again and send it once more."""
        token = yield from self.token(until)
        try:
            return (yield from self._send(request.with_token(token.value), until))
        except NotAuthenticatedError as error:
            self._record_refused(token, error)
            if self.settings.token:
                raise
        token = yield from self.token(until)
        try:
            return (yield from self._send(request.with_token(token.value), until))
        except NotAuthenticatedError as error:
            self._record_refused(token, error)
            raise

    def _record_refused(self, token: Token, error: NotAuthenticatedError) -> None:
        self.token_cache.discard(token)
        if self.settings.token:
            self.token_cache.record_refusal(error, self.monotonic())

    def _reload_credentials(self) -> Flow[bool]:
        """Read the connection again and use its credentials; return whether they are other ones now."""
        if self.reload_settings is None:
            return False
        try:
            new: Settings = yield ReadConnection(self.reload_settings)
        except Exception as error:  # whatever a secrets backend raises, the refusal is what matters
            self.log.warning("The connection could not be read again: %s", foreign_text(str(error)))
            return False
        old = self.settings
        is_new = (new.login, new.password, new.token) != (old.login, old.password, old.token)
        # The credentials of another server are not sent to this one.
        if not is_new or new.base_url != old.base_url:
            return False
        self.settings = replace(old, login=new.login, password=new.password, token=new.token)
        self.token_cache = token_cache_for(self.settings)
        self._remember_credentials()
        for secret in self.settings.secrets:
            yield MaskSecret(secret)
        self.log.info("The credentials of the connection have changed; using the new ones.")
        return True

    def token(self, until: float | None = None) -> Flow[Token]:
        """Return a token, after a login if necessary.

        Callers who need one at the same time share one login. If it fails for the moment, each counts the failure on
        its own: none waits longer, or shorter, than its own tolerance and deadline say.
        """
        outcome: Token | Failure | None = self._known_token()
        if isinstance(outcome, Token):
            return outcome
        # The many tokens of a long process must not displace the password that is still in use.
        self._remember_credentials()
        request = login(self.settings)
        backoff = self._backoff(until)
        while True:
            if outcome is None:
                flow = self._log_in(request, self.token_cache.logins)
                one_login = self.settings.connect_timeout + self.settings.read_timeout
                try:
                    outcome = yield Exclusive(cache_key(self.settings), flow, backoff.patience(one_login))
                except TimeoutError:
                    flow.close()
                    outcome = Failure(
                        TransportError("another task's login is still waiting for a response", sent=False)
                    )
            if isinstance(outcome, Token):
                return outcome
            yield Sleep(self._next_pause(request, backoff, outcome))
            outcome = self._known_token()

    def _known_token(self) -> Token | None:
        """Return the token if there is one.

        :raises MetaKraftwerkError: if the credentials were refused a moment ago.
        """
        now = self.monotonic()
        refusal = self.token_cache.refusal(now)
        if refusal is not None:
            raise refusal
        return Token.of(self.settings.token) if self.settings.token else self.token_cache.current(now)

    def _log_in(self, request: Request[Token], logins_before: int) -> Flow[Token | Failure]:
        """Attempt one login, unless another caller's ended while this one waited for its turn."""
        token = self._known_token()
        if token is not None:
            return token
        if self.token_cache.logins != logins_before and self.token_cache.failure is not None:
            return self.token_cache.failure
        outcome = yield from self._attempt(request)
        if isinstance(outcome, Token):
            yield MaskSecret(outcome.value)
            return self.token_cache.store(outcome, self.monotonic())
        if isinstance(classify(request, outcome), Fail) and not isinstance(outcome.error, TransportError):
            error = self._with_cure(outcome.error)
            self.token_cache.record_refusal(error, self.monotonic())
            raise error
        self.token_cache.record_failure(outcome)
        return outcome

    def _with_cure(self, error: ApiError | ProtocolError) -> ApiError | ProtocolError:
        if not isinstance(error, ApiError) or "@" in (self.settings.login or ""):
            return error
        cure = "the login must be the e-mail address, not the user name"
        return type(error)(error.status, error.message, error.method, error.path, cure)

    def _send(self, request: Request[T], until: float | None) -> Flow[T]:
        for secret in request.secrets:
            # Airflow hides what it masks inside words, too: "r", a permission in a signed address, would spoil the log.
            if len(secret) >= SHORTEST_INSIDE_A_WORD:
                yield MaskSecret(secret)
        backoff = self._backoff(until)
        received = request.sink.received if request.sink else 0
        while True:
            outcome = yield from self._attempt(request)
            if not isinstance(outcome, Failure):
                return outcome
            decision = classify(request, outcome)
            if isinstance(decision, Fail):
                raise outcome.error
            if isinstance(decision, OutcomeUnknown):
                raise OutcomeUnknownError(request, outcome.error) from outcome.error
            if request.sink is not None and request.sink.received > received:
                # A part of a file is a good response, too: the tolerance counts from its newest piece.
                backoff, received = self._backoff(until), request.sink.received
            yield Sleep(self._next_pause(request, backoff, outcome))

    def _attempt(self, request: Request[T]) -> Flow[T | Failure]:
        """Send a request once; return what its response says, or how it failed."""
        try:
            response: Response = yield request
        except TransportError as error:
            return Failure(_without_secrets(request, error))
        except ProtocolError as error:
            return Failure(error, is_too_large=True)
        self._note_clock(request, response)
        if not request.accepts(response):
            return Failure(request.error(response, self._where(request, response)), response)
        try:
            value: T = (yield Offload(partial(request.read, response))) if request.is_list else request.read(response)
        except ProtocolError as error:
            return Failure(error, response)
        if isinstance(value, Rows) and value.skipped:
            self.log.warning("%s: skipped %s of %s rows: %s", request, value.skipped, value.total, value.reason)
        return value

    def _note_clock(self, request: Request[Any], response: Response) -> None:
        if response.date is not None and "://" not in request.path:
            self.clock_offset = response.date - self.wall()

    def _where(self, request: Request[Any], response: Response) -> str:
        """Return which server failed; nothing where the request is at fault, not the server."""
        return self.server_of(request) if response.status in (408, 425, 429) or response.status >= 500 else ""

    def server_of(self, request: Request[Any]) -> str:
        """Return where a request goes, for an error; nothing where its path, after a redirect, says so already."""
        return "" if "://" in request.path else f"at {self.settings.base_url}"

    def _backoff(self, until: float | None) -> Backoff:
        return Backoff(
            self.settings.outage_tolerance, until, monotonic=self.monotonic, wall=self.wall, random=self.random
        )

    def _next_pause(self, request: Request[Any], backoff: Backoff, failure: Failure) -> float:
        """Return the seconds before the next attempt.

        :raises MetaKraftwerkError: if there is no further attempt.
        """
        pause = backoff.next_pause(failure)
        if pause is None:
            raise self._given_up(request, backoff, failure.error) from failure.error
        # The first failure is worth a line, later ones ever fewer: an outage must not bury the rest of the log.
        is_loud = backoff.attempts & (backoff.attempts - 1) == 0
        (self.log.warning if is_loud else self.log.debug)(
            "%s failed (%s); retrying in %.1f s, giving up after %.0f s.",
            request,
            failure.error,
            pause,
            backoff.time_left(),
        )
        return pause

    def _given_up(self, request: Request[Any], backoff: Backoff, error: Exception) -> MetaKraftwerkError:
        times = f"{backoff.attempts} attempt{'' if backoff.attempts == 1 else 's'} in {backoff.elapsed:.0f} s"
        note = f"{times}; the state on the server is unknown"
        if isinstance(error, ApiError):
            note = "; ".join(filter(None, (error.note, note)))
            return type(error)(error.status, error.message, error.method, error.path, note)
        target = f"{request} {self.server_of(request)}".rstrip()
        if isinstance(error, ProtocolError):
            return ProtocolError(f"{target}: {error} ({note})")
        return ConnectionFailedError(f"{target} got no response: {error} ({note})")


def _without_secrets(request: Request[Any], error: TransportError) -> TransportError:
    """Return a transport's error without what must not be shown: it may quote a body, a header or an address."""
    if not (request.is_confidential or request.secrets):
        return error
    text = str(error)
    if request.is_confidential and error.sent:
        text = text.partition(":")[0]
    # A new one, because the traceback of the old one shows what the library said.
    return TransportError(foreign_text(text, secrets=request.secrets), sent=error.sent)
