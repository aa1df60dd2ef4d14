"""Tasks that are retried, cleared and killed, and what each attempt did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tests.exactly_once.accidents import Accident, KilledError, Reaper
from tests.kit.outcomes import FINISHED
from tests.kit.tasks import DagRun, StateStore, Task, TaskInstance

#: More attempts than one run of the state machine can use.
RETRIES = 1000
KILLED, CLEARED = "killed", "cleared"

#: Task id, map index, first attempt.
AttemptGroup: TypeAlias = tuple[str, int, int]


class MortalStore(StateStore):
    """A state store in which values are set by a worker that may be killed."""

    def __init__(self, reaper: Reaper) -> None:
        super().__init__()
        self._reaper = reaper

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Keep a value."""
        self._reaper.point()
        super().set(key, value, retention=retention)
        self._reaper.point()


class Mortal(TaskInstance):
    """A task instance whose XComs are pushed by a worker that may be killed."""

    reaper: Reaper

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.reaper.point()
        super().xcom_push(key, value)
        self.reaper.point()


class TaskUnderTest(Task):
    """A task with its group of attempts: it is retried until it finishes, and begins a new group when it is cleared.

    :param task_id: its name.
    :param map_index: which of the mapped ones it is; -1: it is not mapped.
    :param make: makes its operator.
    :param store: its state store; None before Airflow 3.3.
    """

    def __init__(
        self,
        reaper: Reaper,
        task_id: str,
        make: Callable[[], Any],
        *,
        map_index: int = -1,
        store: StateStore | None = None,
    ) -> None:
        instance = Mortal(task_id, "dag", "manual__1", map_index, max_tries=RETRIES)
        instance.reaper = reaper
        context = {"ti": instance, "task_instance": instance, "dag_run": DagRun()}
        super().__init__(make, context if store is None else {**context, "task_state_store": store})
        self._reaper = reaper
        self._store = store

    @property
    def first_try(self) -> int:
        """Number of the first attempt of the present group."""
        return self.instance.max_tries - RETRIES + 1

    @property
    def group(self) -> AttemptGroup:
        """What distinguishes the current group of attempts from all others."""
        return self.instance.task_id, self.instance.map_index, self.first_try

    @property
    def knows_what_was_listed(self) -> bool:
        """Whether it has a state store, in which a deployment keeps what was listed before it."""
        return self._store is not None

    @property
    def is_due(self) -> bool:
        """Whether Airflow would start an attempt: the first one, or a retry."""
        return self.deferred is None and self.endings[-1:] != [FINISHED]

    @property
    def has_begun(self) -> bool:
        """Whether the present group has had an attempt."""
        return self.deferred is not None or len(self.endings) >= self.first_try

    def clear(self) -> None:
        """Begin a new group, as the button in Airflow's web application does."""
        if self.deferred is not None:
            self.deferred = None
            self.endings.append(CLEARED)
        self.instance.max_tries = len(self.endings) + RETRIES
        self.context["dag_run"].clear_number += 1

    def attempt(self, accident: Accident) -> None:
        """Run an attempt in a worker to its end, its deferral, or the worker's."""
        self._in_a_worker(self.start, accident.killed_after)

    def go_on(self, accident: Accident) -> None:
        """Resume an attempt in a worker after its trigger's event."""
        self._in_a_worker(self.resume, accident.killed_after)

    def _in_a_worker(self, work: Callable[[], None], killed_after: int | None) -> None:
        try:
            with self._reaper.waits(killed_after):
                work()
        except KilledError:
            self.deferred = None
            self.endings.append(KILLED)
