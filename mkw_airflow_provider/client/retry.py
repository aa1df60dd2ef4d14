"""What happens after a failed request: the one place to read what the client does on a 502."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from mkw_airflow_provider.client.request import Request, Response, TransportError
from mkw_airflow_provider.exceptions import TEMPORARY_STATUSES, ApiError, ProtocolError

SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: The request was turned away before anything was done. So is a 503 that says when to come back.
NOT_PROCESSED = frozenset({425, 429})


@dataclass(frozen=True)
class Retry:
    """Send the request again after a pause."""


@dataclass(frozen=True)
class Fail:
    """Raise the error: sending the request again would not change it."""


@dataclass(frozen=True)
class OutcomeUnknown:
    """The request changes state and may have been processed: never resend it, check what became of it."""


Decision: TypeAlias = Retry | Fail | OutcomeUnknown


@dataclass(frozen=True)
class Failure:
    """A request that failed.

    :param error: what went wrong.
    :param response: the response, if one came.
    :param is_too_large: whether the body of the response is above its limit.
    """

    error: TransportError | ProtocolError | ApiError
    response: Response | None = None
    is_too_large: bool = False


def classify(request: Request[Any], failure: Failure) -> Decision:
    """Return what to do after a failure.

    Reads and the login are retried while the trouble may pass. A request that changes state is resent only if it was
    surely not processed.
    """
    if was_not_processed(failure):
        return Retry()
    if not is_temporary(request, failure):
        return Fail()
    return Retry() if request.is_retryable else OutcomeUnknown()


def was_not_processed(failure: Failure) -> bool:
    """Whether the request surely had no effect, and may have one when it is sent again."""
    error, response = failure.error, failure.response
    if isinstance(error, ApiError):
        asks_to_come_back = response is not None and "retry-after" in response.headers
        return error.status in NOT_PROCESSED or (error.status == 503 and asks_to_come_back)
    return isinstance(error, TransportError) and not error.sent


def is_temporary(request: Request[Any], failure: Failure) -> bool:
    """Whether a later response may be another one."""
    error, response = failure.error, failure.response
    if failure.is_too_large:
        # The next one would be as large. But a request that changes state has been processed.
        return not request.is_retryable
    if isinstance(error, ApiError):
        # A gateway answers with a page of its own while the service behind it restarts.
        is_gateway_page = error.status == 404 and response is not None and not response.is_of_the_api
        return error.status in TEMPORARY_STATUSES or (is_gateway_page and request.is_retryable)
    return True


class Backoff:
    """When to send one request again, and when to give up.

    :param tolerance: seconds since the first failure after which no further attempt starts.
    :param until: epoch seconds after which none starts either; None: no such moment.
    :param monotonic: seconds that never jump.
    :param wall: seconds since the epoch.
    :param random: returns a number from 0 to 1.
    """

    def __init__(
        self,
        tolerance: float,
        until: float | None,
        *,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._tolerance = tolerance
        self._until = until
        self._monotonic = monotonic
        self._wall = wall
        self._random = random
        self._first_failure: float | None = None
        self.attempts = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the first failure."""
        return 0.0 if self._first_failure is None else self._monotonic() - self._first_failure

    def time_left(self) -> float:
        """Return the seconds in which another attempt may start."""
        left = self._tolerance - self.elapsed
        return left if self._until is None else min(left, self._until - self._wall())

    def patience(self, at_least: float) -> float:
        """Return the seconds to wait for what another caller does, before the first failure too.

        :param at_least: how long that takes, even if this caller tolerates no outage.
        """
        patience = max(self.time_left(), at_least)
        return patience if self._until is None else max(0.0, min(patience, self._until - self._wall()))

    def next_pause(self, failure: Failure) -> float | None:
        """Count a failed attempt; return the seconds to wait before the next one, or None to give up."""
        self.attempts += 1
        if self._first_failure is None:
            self._first_failure = self._monotonic()
        left = self.time_left()
        if left <= 0:
            return None
        ceiling = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(self.attempts, 16))
        # Full jitter, so that callers that failed together do not come back together.
        pause = SHORTEST_PAUSE + (ceiling - SHORTEST_PAUSE) * self._random()
        asked = failure.response.retry_after(self._wall()) if failure.response is not None else None
        return min(max(pause, asked or 0.0), left)
