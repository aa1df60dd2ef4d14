"""What to do when the outcome of a request that changes state is unknown: look for what it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow, OutcomeUnknownError, Sleep
from mkw_airflow_provider.exceptions import ApiError, MetaKraftwerkError

#: The longest pause between two searches, in seconds.
SEARCH_INTERVAL = 15.0

T = TypeVar("T")


def send_or_recover(
    session: ApiSession,
    request: Request[T],
    *,
    find: Callable[[], Flow[T | None]],
    uncertain: Callable[[str], MetaKraftwerkError],
) -> Flow[T]:
    """Send a request once; if its outcome is unknown, search for what it made until that appears.

    The search ends with ``outage_tolerance``. A 500 is raised as it is: it is a response of the server itself, after
    which the caller searches for a shorter time.

    :param find: searches once; returns what the request would have returned, or None.
    :param uncertain: makes an error from a sentence that says what happened and how the search ended.
    """
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as error:
        unknown = error
    _raise_500(unknown)
    session.log.warning("No response to %s (%s); not resending, checking whether it took effect.", request, unknown)
    lost = f"no response to {request} ({unknown})"
    began = session.monotonic()
    pause = 1.0
    while True:
        try:
            found = yield from find()
        except MetaKraftwerkError as error:
            raise uncertain(f"{lost}, and the search for its effect failed: {error}") from error
        if found is not None:
            return found
        elapsed = session.monotonic() - began
        left = session.settings.outage_tolerance - elapsed
        if left <= 0:
            raise uncertain(f"{lost}, and nothing was found within {elapsed:.0f} s")
        yield Sleep(min(pause * (1 + 0.25 * session.random()), left))
        pause = min(2 * pause, SEARCH_INTERVAL)


def send_without_recovery(
    session: ApiSession, request: Request[T], *, uncertain: Callable[[str], MetaKraftwerkError]
) -> Flow[T]:
    """Send a request whose effect could not be told from that of others: an unknown outcome is an error immediately."""
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as unknown:
        _raise_500(unknown)
        raise uncertain(f"no response to {request} ({unknown})") from unknown


def _raise_500(unknown: OutcomeUnknownError) -> None:
    error = unknown.error
    if isinstance(error, ApiError) and error.status == 500:
        note = "; ".join(filter(None, (error.note, "it may have taken effect all the same")))
        raise type(error)(error.status, error.message, error.method, error.path, note) from unknown
