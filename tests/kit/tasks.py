"""Tasks without a scheduler: what Airflow does around an operator's methods, by Airflow's own code where it has any."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from pydantic import JsonValue, TypeAdapter

from tests.kit.airflow_names import (
    AirflowRescheduleException,
    AirflowTaskTimeout,
    TaskDeferralError,
    attach,
    of_this_version,
    timeout,
)
from tests.kit.outcomes import FINISHED, STILL_WAITING
from tests.kit.rescheduling import execute
from tests.kit.triggers import first_event, only_event, through_database

__all__ = [
    "AirflowRescheduleException",
    "Attempts",
    "DagRun",
    "Ending",
    "StateStore",
    "Task",
    "TaskDeferralError",
    "TaskInstance",
    "attach",
    "context_of",
    "deferral",
    "first_event",
    "of_this_version",
    "only_event",
    "run_task",
    "search_once",
    "through_database",
    "without_times",
]


DAG_ID = "test_dag"
RUN = "scheduled__2026-11-22T02:00:00+00:00"


@dataclass
class TaskInstance:
    """What operators use of Airflow's task instance. It keeps what is pushed, as JSON."""

    task_id: str
    dag_id: str = DAG_ID
    run_id: str = RUN
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    start_date: datetime | None = field(default_factory=lambda: datetime.now(timezone.utc))
    xcom: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.xcom[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", map_indexes: Any = None, **_: Any) -> Any:
        """Return a value that this task pushed."""
        assert (task_ids or self.task_id) == self.task_id, "an operator pulls its own XComs only"
        assert map_indexes in (None, self.map_index), "an operator pulls its own XComs only"
        return self.xcom.get(key)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Return when the first poke was."""
        return self.start_date


_JSON: TypeAdapter[Any] = TypeAdapter(JsonValue)


def as_stored(value: Any) -> str:
    """Return a value in the form in which Airflow's state stores keep it.

    :raises pydantic.ValidationError: Airflow refuses the value, for example because it contains a tuple.
    :raises OverflowError: it contains an integer beyond 64 bits, which Airflow cannot send to its API server.
    """

    def integer(digits: str) -> int:
        if not -(2**63) <= int(digits) < 2**64:
            raise OverflowError("can't serialize ints >= 2**64 or < -(2**63)")
        return int(digits)

    text = json.dumps(_JSON.validate_python(value))
    json.loads(text, parse_int=integer)
    return text


class StateStore:
    """The task state store of Airflow 3.3: JSON by key, for all attempts of a task, cleared or not."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        return json.loads(self.content[key]) if key in self.content else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Keep a value."""
        self.content[key] = as_stored(value)

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.content.pop(key, None)


@dataclass
class DagRun:
    """What operators use of Airflow's DAG run."""

    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    clear_number: int = 0


#: The DAG run of the newest first attempt of each run id, for the attempts after it.
_DAG_RUNS: dict[tuple[str, str], DagRun] = {}


def context_of(
    operator: Any, store: StateStore | None = None, *, dag_run: DagRun | None = None, **values: Any
) -> dict[str, Any]:
    """Return a context for the first attempt of an operator's task, or for the one that the values name.

    :param dag_run: its DAG run; None: one that starts now with a first attempt, else that of the first attempt.
    """
    task_instance = TaskInstance(operator.task_id, **{"max_tries": operator.retries or 0, **values})
    run = (task_instance.dag_id, task_instance.run_id)
    if dag_run is None and task_instance.try_number == 1:
        _DAG_RUNS[run] = DagRun()
    context: dict[str, Any] = {
        "ti": task_instance,
        "task_instance": task_instance,
        "dag_run": dag_run or _DAG_RUNS.setdefault(run, DagRun()),
        "params": {},
    }
    return context if store is None else {**context, "task_state_store": store}


class Attempts:
    """The attempts of one task instance in one DAG run, counted as Airflow counts them.

    :param make: creates the operator for each attempt, as each worker process does.
    :param store: the task's state store; None before Airflow 3.3.
    :param identity: what else the task instance is, such as ``map_index``.
    """

    def __init__(self, make: Callable[[], Any], *, store: StateStore | None = None, **identity: Any) -> None:
        self._make = make
        self.store = store
        self._identity = identity
        self._dag_run = DagRun()
        self._try_number = 0
        self._max_tries: int | None = None
        self.context: dict[str, Any] = {}

    def run(self) -> Any:
        """Execute the next attempt."""
        operator = self._make()
        self._try_number += 1
        if self._max_tries is None:
            self._max_tries = operator.retries
        numbers = {"try_number": self._try_number, "max_tries": self._max_tries}
        self.context = context_of(operator, self.store, dag_run=self._dag_run, **numbers, **self._identity)
        return operator.execute(self.context)

    def clear(self, *, retries: int | None = None) -> None:
        """Clear the task.

        :param retries: of the DAG file at this moment; None: as the worker has it.
        """
        retries = self._make().retries if retries is None else retries
        self._max_tries = self._try_number + retries
        self._dag_run.clear_number += 1

    def recreate(self) -> None:
        """Delete the DAG run and create it again: nothing that Airflow stored about it is left."""
        self._dag_run, self._try_number, self._max_tries = DagRun(), 0, None
        self.store = None if self.store is None else StateStore()


def search_once(session: Any, find: Callable[[], Any], seconds: float) -> Any:
    """Search without waiting for what may appear later: for tests over a socket, whose time is real."""
    del session, seconds
    return find()


def deferral(operator: Any, context: Any) -> TaskDeferred:
    """Execute an operator that must defer."""
    try:
        result = operator.execute(context)
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError(f"it did not defer, but returned {result!r}")


class Task:
    """One task and its attempts: each runs up to its end or its deferral, each part in a process of its own.

    ``endings`` tells how each attempt ended, ``errors`` what made those fail that did, ``result`` what the newest
    returned, ``deferred`` what it waits for, and ``event`` what the trigger sent, the error that it raised, or None if
    it still waits.

    :param make: makes the operator, as each process does when it reads the DAG.
    :param context: of its attempts.
    """

    def __init__(self, make: Callable[[], Any], context: dict[str, Any]) -> None:
        self.context = context
        self.endings: list[str] = []
        self.errors: list[BaseException] = []
        self.result: Any = None
        self.deferred: TaskDeferred | None = None
        self.deferrals = 0
        self.event: Any = None
        self._make = make

    @property
    def instance(self) -> Any:
        """The task instance."""
        return self.context["ti"]

    @property
    def wants_retry(self) -> bool:
        """Whether Airflow would start another attempt."""
        failed = self.deferred is None and self.endings[-1] not in (FINISHED, STILL_WAITING)
        may_retry = not (self.errors and isinstance(self.errors[-1], AirflowFailException))
        return failed and may_retry and self.instance.try_number <= self.instance.max_tries

    def start(self) -> None:
        """Run the next attempt up to its end or its deferral. It starts without XComs, as in Airflow."""
        self.instance.try_number = len(self.endings) + 1
        self.instance.xcom.clear()
        self.step(lambda operator: operator.execute(self.context))

    def step(self, work: Callable[[Any], Any]) -> None:
        """Do with a new operator what one process does."""
        operator = self._make()
        try:
            with _alarm(operator.execution_timeout):
                self.result = work(operator)
        except TaskDeferred as deferred:
            self.deferred = deferred
            self.deferrals += 1
        except (Exception, AirflowTaskTimeout) as error:
            self.errors.append(error)
            self.endings.append(type(error).__name__)
        else:
            self.endings.append(FINISHED)

    def trigger(self) -> Any:
        """Return the trigger that the attempt waits for, made again from what Airflow keeps of it.

        :raises ValueError: if the attempt is not deferred.
        """
        if self.deferred is None:
            raise ValueError("The task is not deferred")
        return through_database(self.deferred.trigger)

    def resume(self) -> None:
        """Resume the attempt with the event that the trigger sent.

        :raises ValueError: if the attempt is not deferred.
        """
        deferred, self.deferred = self.deferred, None
        if deferred is None:
            raise ValueError("The task is not deferred")
        if self.event is None:
            self.endings.append(STILL_WAITING)
            return
        method, arguments = deferred.method_name, json.loads(json.dumps(deferred.kwargs or {}))
        if isinstance(self.event, Exception):
            method, arguments = "__fail__", {"error": "Trigger failure", "traceback": [repr(self.event)]}
        else:
            arguments["event"] = self.event
        self.step(lambda operator: operator.resume_execution(method, arguments, self.context))


@dataclass
class Ending:
    """How a task ended: with a result, or with an error."""

    result: Any = None
    error: BaseException | None = None
    deferrals: int = 0

    def kind(self) -> type[BaseException] | None:
        """Return the class of the error."""
        return None if self.error is None else type(self.error)


def run_task(make: Callable[[], Any], context: dict[str, Any], begin: Callable[[Any], Any] | None = None) -> Ending:
    """Run an attempt to its end, through as many deferrals as it wants.

    :param make: makes the operator.
    :param begin: what is done first with the operator; None: execute it.
    """
    task = Task(make, context)
    task.step(begin or (lambda operator: execute(make, operator, context)))
    while task.deferred is not None:
        task.event = asyncio.run(only_event(task.trigger()))
        task.resume()
    return Ending(task.result, task.errors[-1] if task.errors else None, task.deferrals)


def _alarm(execution_timeout: Any) -> AbstractContextManager[Any]:
    """What Airflow puts around an operator with ``execution_timeout``."""
    if execution_timeout is None:
        return nullcontext()
    alarm: AbstractContextManager[Any] = timeout(execution_timeout.total_seconds())
    return alarm


def without_times(text: str) -> str:
    """Return a text without what depends on the speed of the machine: times, percentages and the estimate."""
    # Progress lines have an estimate only if the machine is slow.
    text = re.sub(r", about [\dhmins ]+ left", "", text)
    text = re.sub(r"\d+ (s|min|h)\b", r"N \1", text)
    text = re.sub(r"\d+ times?\b", "N times", text)
    text = re.sub(r"\d+ %", "N %", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "T", text)


def alarm_in_a_worker(_: object) -> None:
    """Let Airflow's alarm go off now, if this is a worker and not a triggerer."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        signal.raise_signal(signal.SIGALRM)
