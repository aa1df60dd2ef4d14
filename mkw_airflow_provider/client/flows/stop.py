"""Stopping a flow from outside: because its task is killed, or because another flow of the task failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mkw_airflow_provider.client.session import Exclusive, Flow, Sleep
from mkw_airflow_provider.exceptions import DownloadError

T = TypeVar("T")

#: Seconds between two checks during a sleep.
CHECK_INTERVAL = 1.0


class StoppedError(DownloadError):
    """A download was stopped from outside. Complete files stay; the next attempt downloads the rest."""


def stoppable(flow: Flow[T], check: Callable[[], None]) -> Flow[T]:
    """Run a flow until a check stops it: before each step, and every second of a sleep.

    :param check: raises to stop. It only reads a flag, so that a signal handler can set that without taking a lock.
    """
    outcome: Any = None
    failure: Exception | None = None
    while True:
        try:
            step = flow.send(outcome) if failure is None else flow.throw(failure)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        outcome, failure = None, None
        check()
        if isinstance(step, Sleep):
            yield from _sleep(step.seconds, check)
            continue
        if isinstance(step, Exclusive):
            step = Exclusive(step.key, stoppable(step.flow, check))
        try:
            outcome = yield step
        except Exception as error:
            failure = error


def _sleep(seconds: float, check: Callable[[], None]) -> Flow[None]:
    while seconds > 0:
        yield Sleep(min(seconds, CHECK_INTERVAL))
        seconds -= CHECK_INTERVAL
        check()
