"""What to do when the outcome of a request that changes state is unknown: search for what it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow, OutcomeUnknownError, Sleep
from mkw_airflow_provider.exceptions import (
    ApiError,
    BuildStartUncertainError,
    DeploymentUncertainError,
    MetaKraftwerkError,
    ServerError,
)

#: Seconds between two searches: the first pause, and the longest.
SHORTEST_SEARCH_INTERVAL = 1.0
LONGEST_SEARCH_INTERVAL = 15.0

T = TypeVar("T")


def send_or_recover(
    session: ApiSession,
    request: Request[T],
    *,
    find: Callable[[], Flow[T | None]],
    effect: str,
    uncertain: Callable[[str], MetaKraftwerkError],
) -> Flow[T]:
    """Send a request once; if its outcome is unknown, search for what it made until that appears.

    The search ends with ``outage_tolerance``; after a 500, which is a response of the server itself, with
    ``read_timeout``.

    :param find: searches once; returns what the request would have returned, or None.
    :param effect: what the request may have made, for the error after a 500.
    :param uncertain: makes an error from a sentence that says what happened and how the search ended.
    :raises ServerError: for a 500, if nothing appears; says that it may be there all the same.
    """
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as error:
        unknown = error
    failure = _server_failure(unknown)
    seconds = session.settings.outage_tolerance
    if failure is None:
        lost = f"no response to {request} ({unknown})"
        session.log.warning("No response to %s (%s); not resending, checking whether it took effect.", request, unknown)
    else:
        seconds = min(session.settings.read_timeout, seconds)
        lost = str(failure)
        session.log.warning("%s; checking for %.0f s whether it took effect.", failure, seconds)
    try:
        found = yield from search(session, find, seconds)
    except MetaKraftwerkError as error:
        raise uncertain(f"{lost}, and the search for its effect failed: {error}") from error
    if found is not None:
        return found
    if failure is None:
        raise uncertain(f"{lost}, and nothing was found within {seconds:.0f} s")
    note = f"{effect} may be running on the server, but none appeared within {seconds:.0f} s"
    raise _with_note(failure, note) from unknown


def send_without_recovery(
    session: ApiSession, request: Request[T], *, uncertain: Callable[[str], MetaKraftwerkError]
) -> Flow[T]:
    """Send a request whose effect could not be told from that of others: an unknown outcome is an error immediately."""
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as unknown:
        failure = _server_failure(unknown)
        if failure is not None:
            raise _with_note(failure, "it may have taken effect all the same") from unknown
        raise uncertain(f"no response to {request} ({unknown})") from unknown


def may_have_taken_effect(error: Exception) -> bool:
    """Whether a request that changes state may have been processed although one of these functions raised."""
    if isinstance(error, ServerError):
        # A 503 that comes out of them was a refusal with Retry-After; and a login changes nothing.
        return error.status != 503 and not error.path.endswith("authentication")
    return isinstance(error, (BuildStartUncertainError, DeploymentUncertainError))


def search(session: ApiSession, find: Callable[[], Flow[T | None]], seconds: float) -> Flow[T | None]:
    """Repeat a search until it finds something.

    :param find: searches once; what it raises ends the search.
    :param seconds: after which the search ends with None.
    """
    end, pause = session.monotonic() + seconds, SHORTEST_SEARCH_INTERVAL
    while True:
        began = session.monotonic()
        found = yield from find()
        now = session.monotonic()
        if found is not None or now >= end:
            return found
        # A list that takes long to read is large: it must not be fetched again and again. And callers that lost their
        # responses together must not search together.
        spread = pause * (1 + 0.25 * session.random())
        yield Sleep(min(max(spread, 5 * (now - began)), end - now))
        pause = min(2 * pause, LONGEST_SEARCH_INTERVAL)


def _server_failure(unknown: OutcomeUnknownError) -> ApiError | None:
    """Return the 500 that was the response; None if there was another one, or none."""
    error = unknown.error
    return error if isinstance(error, ApiError) and error.status == 500 else None


def _with_note(error: ApiError, note: str) -> ApiError:
    return type(error)(
        error.status, error.message, error.method, error.path, "; ".join(filter(None, (error.note, note)))
    )
