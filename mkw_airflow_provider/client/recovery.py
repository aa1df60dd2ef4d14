"""What to do when the answer to a request that must not be repeated was lost: look what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mkw_airflow_provider.client.flows.polling import next_pause
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow, OutcomeUnknownError, Sleep
from mkw_airflow_provider.exceptions import MetaKraftwerkError

#: The longest pause between two looks, in seconds.
LOOK_UP_INTERVAL = 15.0

T = TypeVar("T")


def send_or_recover(
    session: ApiSession,
    request: Request[T],
    *,
    find: Callable[[], Flow[T | None]],
    uncertain: Callable[[str], MetaKraftwerkError],
) -> Flow[T]:
    """Send a call; if its answer is lost, look for what it made until that appears or the tolerance ends.

    :param find: looks once, and returns what the call would have returned, or None.
    :param uncertain: makes the error from a sentence that says what was lost and how the looking ended.
    """
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as error:
        lost = error
    session.log.warning(
        "The answer to %s was lost (%s). It is not sent again; looking for what came of it.", request, lost
    )
    began = session.monotonic()
    while True:
        try:
            found = yield from find()
        except MetaKraftwerkError as error:
            raise uncertain(
                f"the answer to {request} was lost ({lost}), and it cannot be looked up: {error}"
            ) from error
        if found is not None:
            return found
        elapsed = session.monotonic() - began
        left = session.settings.outage_tolerance - elapsed
        if left <= 0:
            raise uncertain(f"the answer to {request} was lost ({lost}), and nothing appeared within {elapsed:.0f} s")
        pause = next_pause(elapsed=elapsed, progress=None, poll_interval=LOOK_UP_INTERVAL, chance=session.random())
        yield Sleep(min(pause, left))


def send_blindly(
    session: ApiSession, request: Request[T], *, uncertain: Callable[[str], MetaKraftwerkError]
) -> Flow[T]:
    """Send a call whose outcome could not be told from that of others: a lost answer is an error at once."""
    try:
        return (yield from session.request(request))
    except OutcomeUnknownError as lost:
        raise uncertain(f"the answer to {request} was lost ({lost})") from lost
