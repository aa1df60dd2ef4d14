"""Run the tasks of one provider, each with one retry, through one fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dev.benchmarks.faults.heartbeat import Heartbeat
from dev.benchmarks.faults.rows import Row
from dev.benchmarks.faults.setup import BLOCKED, TASKS, Pace, Provider, Server, Setup
from tests.kit.clock import Clock
from tests.kit.outcomes import FINISHED
from tests.kit.tasks import Task, context_of, first_event


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault.

    :param first: how the first attempts of the tasks ended, with counts.
    :param second: the same for the retries.
    :param builds: number of builds on the server at the end; one for each task is right.
    :param requests: number of requests that the server received.
    :param hits: number of requests that the fault hit.
    :param longest_stop: the longest time in seconds for which the event loop was blocked.
    """

    first: dict[str, int]
    second: dict[str, int]
    builds: int
    requests: int
    hits: int
    longest_stop: float

    @property
    def blocked(self) -> bool:
        """Whether the loop was blocked for too long."""
        return self.longest_stop >= BLOCKED

    def differences(self, row: Row) -> list[str]:
        """Return what differs from the outcome that this provider must have."""
        expected: dict[str, Any] = {
            "first": {row.ends: TASKS},
            "second": {} if row.ends in (FINISHED, "AirflowFailException") else {FINISHED: TASKS},
            "builds": TASKS,
        }
        if row.hits is not None:
            expected["hits"] = row.hits * TASKS
        differences = [
            f"{name}: {getattr(self, name)!r} instead of {value!r}"
            for name, value in expected.items()
            if getattr(self, name) != value
        ]
        if self.requests > row.most * TASKS:
            differences.append(f"requests: {self.requests} instead of at most {row.most * TASKS}")
        if self.blocked:
            differences.append(f"the event loop was blocked for {self.longest_stop:.3f} s")
        return differences

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "longest_stop": round(self.longest_stop, 3)}


def run_row(row: Row, provider: Provider, server: Server, pace: Pace, clock: Clock) -> tuple[Outcome, list[Task]]:
    """Run tasks through a fault, and retry those that failed when it is over.

    :return: the outcome and the tasks.
    """
    server.control.reset()
    provider.forget_tokens()
    server.control.set(build_seconds=pace.build)
    tolerance = pace.short_tolerance if row.lasting else pace.tolerance
    setup = Setup(server, provider, pace, tolerance=tolerance, jump=clock.jump)
    setup.connect()
    tasks = [_task(f"build_{number}", provider, pace) for number in range(TASKS)]
    try:
        for task in tasks:
            _start(task, row, setup)
        longest_stop = _wait(tasks, setup, None if row.starting else row.inject)
    finally:
        setup.end_fault()
    _resume(tasks)
    retries = [task for task in tasks if task.wants_retry]
    for task in retries:
        task.start()
    _wait(retries, setup, None)
    _resume(retries)
    outcome = Outcome(
        first=_count(task.endings[0] for task in tasks),
        second=_count(ending for task in tasks for ending in task.endings[1:]),
        builds=len(server.control.builds()),
        requests=len(server.control.requests()),
        hits=setup.hits,
        longest_stop=longest_stop,
    )
    return outcome, tasks


def _task(name: str, provider: Provider, pace: Pace) -> Task:
    context = context_of(provider.operator(name, pace), dag_id="faults", run_id="manual__1", max_tries=1)
    return Task(lambda: provider.operator(name, pace), context)


def _start(task: Task, row: Row, setup: Setup) -> None:
    if not row.starting:
        task.start()
        return
    row.inject(setup)
    setup.start_timers()
    try:
        task.start()
    finally:
        setup.end_fault()


def _wait(tasks: list[Task], setup: Setup, inject: Callable[[Setup], None] | None) -> float:
    """Run the triggers of all deferred tasks; return for how long the loop was blocked at most."""
    waiting = [task for task in tasks if task.deferred is not None]
    triggers = [task.trigger() for task in waiting]
    setup.builds = [setup.provider.build_id(trigger) for trigger in triggers]
    for trigger in triggers:
        setup.provider.set_poll_interval(trigger, setup.pace)
    if inject is not None:
        inject(setup)

    async def wait_for_all() -> tuple[list[Any], float]:
        async with Heartbeat() as heart:
            setup.start_timers()
            events = await asyncio.gather(*(first_event(trigger, setup.pace.patience) for trigger in triggers))
        return list(events), heart.longest

    events, longest_stop = asyncio.run(wait_for_all())
    for task, event in zip(waiting, events, strict=True):
        task.event = event
    return longest_stop


def _resume(tasks: list[Task]) -> None:
    for task in tasks:
        if task.deferred is not None:
            task.resume()


def _count(endings: Any) -> dict[str, int]:
    return dict(sorted(Counter(endings).items()))
