"""All nights of one chaos: so many at a time, until all are over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from dev.chaos import evidence, invariants
from dev.chaos.field import Field
from dev.chaos.invariants import Violation
from dev.chaos.nights import Night
from dev.chaos.report import Outcome
from dev.chaos.schedule import Plan

#: Runs at once. Airflow of `demo` has four workers.
AT_ONCE = 4

Tell = Callable[[float, str, str, str], None]
"""Told of each change: seconds since the beginning, which run, what happened, what it is about."""


def spend(place: Field, plans: Sequence[Plan], tell: Tell, *, command: str, seconds: float) -> Outcome:
    """Live through the nights and check what came of them.

    :param place: started already.
    :param command: what repeats it, for the report.
    :param seconds: after so many no further night begins.
    """
    began = time.monotonic()

    def say(run_id: str, what: str, about: str) -> None:
        tell(time.monotonic() - began, run_id, what, about)

    nights = [Night(place, plan, say) for plan in plans]
    lived: list[Night] = []

    def live(night: Night) -> None:
        if not place.over.is_set() and time.monotonic() - began < seconds:
            lived.append(night)
            night.live()
            say(night.plan.run_id, "over", "")

    with ThreadPoolExecutor(AT_ONCE, "night") as pool:
        try:
            waiting = {pool.submit(live, night) for night in nights}
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            # Whoever waits for a component that starts learns of its end by this.
            place.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    lived.sort(key=lambda night: night.plan.number)
    found = evidence.gather(place, [(night.dag_id, night.plan.run_id, night.clears) for night in lived])
    broken = invariants.violations(found)
    broken += [
        Violation(night.plan.run_id, "the run did not end in time", place.stack.home / "logs")
        for night in lived
        if night.lost
    ]
    return Outcome(lived, len(nights), found, broken, command, time.monotonic() - began)
