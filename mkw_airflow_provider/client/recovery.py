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

    The search ends with ``outage_tolerance``; after a 500, which is a response of the server itself, with
    ``read_timeout``.

    :param find: searches once; returns what the request would have returned, or None.
    :param uncertain: makes an error from a sentence that says what happened and how the search ended.
    """
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as error:
        unknown = error
    session.log.warning("No response to %s (%s); not resending, checking whether it took effect.", request, unknown)
    lost = f"no response to {request} ({unknown})"
    failed = unknown.error if isinstance(unknown.error, ApiError) and unknown.error.status == 500 else None
    limit = session.settings.outage_tolerance
    if failed is not None:
        limit = min(limit, session.settings.read_timeout)
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
        if elapsed >= limit:
            break
        yield Sleep(min(pause * (1 + 0.25 * session.random()), limit - elapsed))
        pause = min(2 * pause, SEARCH_INTERVAL)
    if failed is not None:
        raise _with_note(failed, "it may have taken effect all the same, but nothing was found") from failed
    raise uncertain(f"{lost}, and nothing was found within {elapsed:.0f} s")


def send_without_recovery(
    session: ApiSession, request: Request[T], *, uncertain: Callable[[str], MetaKraftwerkError]
) -> Flow[T]:
    """Send a request whose effect could not be told from that of others: an unknown outcome is an error immediately."""
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as unknown:
        if isinstance(unknown.error, ApiError) and unknown.error.status == 500:
            raise _with_note(unknown.error, "it may have taken effect all the same") from unknown
        raise uncertain(f"no response to {request} ({unknown})") from unknown


def _with_note(error: ApiError, note: str) -> ApiError:
    return type(error)(
        error.status, error.message, error.method, error.path, "; ".join(filter(None, (error.note, note)))
    )
