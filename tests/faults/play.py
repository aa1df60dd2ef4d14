"""One fault, met by the tasks of one provider, each with one retry: how that ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.heartbeat import Heartbeat
from tests.faults.rows import Row
from tests.faults.stage import BLOCKED, TASKS, Pace, Server, Stage, Subject
from tests.kit.clock import Clock
from tests.kit.outcomes import FINISHED
from tests.kit.tasks import Task, context_of, first_event


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    :param first: how the first tries of the tasks ended, and how many so.
    :param second: the same of the retries.
    :param builds: how many builds there are at the server in the end; one for each task is right.
    :param requests: how many requests arrived there.
    :param hits: how many of them were answered wrongly.
    :param longest_stop: of the event loop, in seconds.
    """

    first: dict[str, int]
    second: dict[str, int]
    builds: int
    requests: int
    hits: int
    longest_stop: float

    @property
    def blocked(self) -> bool:
        """Whether the loop stood still for too long."""
        return self.longest_stop >= BLOCKED

    def other_than(self, row: Row) -> list[str]:
        """Return what is not as it must be of this provider's tasks; nothing, if all is."""
        expected: dict[str, Any] = {
            "first": {row.ends: TASKS},
            "second": {} if row.ends == FINISHED else {FINISHED: TASKS},
            "builds": TASKS,
        }
        if row.hits is not None:
            expected["hits"] = row.hits * TASKS
        other = [
            f"{name}: {getattr(self, name)!r} instead of {value!r}"
            for name, value in expected.items()
            if getattr(self, name) != value
        ]
        if self.requests > row.most * TASKS:
            other.append(f"requests: {self.requests} instead of at most {row.most * TASKS}")
        if self.blocked:
            other.append(f"the event loop stood still for {self.longest_stop:.3f} s")
        return other

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "longest_stop": round(self.longest_stop, 3)}


def play(row: Row, subject: Subject, server: Server, pace: Pace, clock: Clock) -> tuple[Outcome, list[Task]]:
    """Let tasks meet a fault, and retry those that fail once it is over.

    :return: what came of it, and the tasks.
    """
    server.control.reset()
    subject.forget()
    server.control.set(build_seconds=pace.build)
    tolerance = pace.short_tolerance if row.lasting else pace.tolerance
    stage = Stage(server, subject, pace, tolerance=tolerance, jump=clock.jump)
    stage.connect()
    tasks = [_task(f"build_{number}", subject, pace) for number in range(TASKS)]
    try:
        for task in tasks:
            _begin(task, row, stage)
        longest_stop = _wait(tasks, stage, None if row.starting else row.provoke)
    finally:
        stage.mend()
    _resume(tasks)
    retries = [task for task in tasks if task.wants_retry]
    for task in retries:
        task.begin()
    _wait(retries, stage, None)
    _resume(retries)
    outcome = Outcome(
        first=_count(task.endings[0] for task in tasks),
        second=_count(ending for task in tasks for ending in task.endings[1:]),
        builds=len(server.control.builds()),
        requests=len(server.control.requests()),
        hits=stage.hits,
        longest_stop=longest_stop,
    )
    return outcome, tasks


def _task(name: str, subject: Subject, pace: Pace) -> Task:
    operator = subject.operator(name, pace)
    context = context_of(operator, dag_id="faults", run_id="manual__1", max_tries=1)
    return Task(lambda: subject.operator(name, pace), context)


def _begin(task: Task, row: Row, stage: Stage) -> None:
    if not row.starting:
        task.begin()
        return
    row.provoke(stage)
    stage.begin()
    try:
        task.begin()
    finally:
        stage.mend()


def _wait(tasks: list[Task], stage: Stage, provoke: Callable[[Stage], None] | None) -> float:
    """Run the triggers of all tasks that wait. Returns the longest stop of the loop."""
    waiting = [task for task in tasks if task.deferred is not None]
    triggers = [task.trigger() for task in waiting]
    stage.builds = [stage.subject.build_id(trigger) for trigger in triggers]
    for trigger in triggers:
        stage.subject.hasten(trigger, stage.pace)
    if provoke is not None:
        provoke(stage)

    async def wait_for_all() -> tuple[list[Any], float]:
        async with Heartbeat() as heart:
            stage.begin()
            events = await asyncio.gather(*(first_event(trigger, stage.pace.patience) for trigger in triggers))
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
