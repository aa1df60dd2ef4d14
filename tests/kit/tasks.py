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
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.triggers.base import BaseTrigger

__all__ = [
    "AirflowRescheduleException",
    "Attempts",
    "DagRun",
    "Ending",
    "StateStore",
    "TaskDeferralError",
    "TaskInstance",
    "attach",
    "context_of",
    "deferral",
    "of_this_version",
    "only_event",
    "play",
    "search_once",
    "through_database",
    "timeless",
]


def of_this_version(*paths: str) -> Any:
    """Import the first of these names that the installed Airflow has."""
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"this Airflow has none of {paths}")


AirflowRescheduleException = of_this_version(
    "airflow.sdk.exceptions.AirflowRescheduleException", "airflow.exceptions.AirflowRescheduleException"
)
TaskDeferralError = of_this_version("airflow.sdk.exceptions.TaskDeferralError", "airflow.exceptions.TaskDeferralError")
attach = of_this_version("airflow.sdk.io.attach", "airflow.io.store.attach")
#: The alarm that Airflow sets around an operator with ``execution_timeout``.
timeout = of_this_version("airflow.sdk.execution_time.timeout.timeout", "airflow.utils.timeout.timeout")

TRY_OUT_DAG = "try_out"
RUN = "scheduled__2026-11-22T02:00:00+00:00"


@dataclass
class TaskInstance:
    """What operators use of Airflow's task instance. It keeps what is pushed, as JSON, over all tries."""

    task_id: str
    dag_id: str = TRY_OUT_DAG
    run_id: str = RUN
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    start_date: datetime | None = field(default_factory=lambda: datetime.now(timezone.utc))
    xcom: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index), "an operator pulls its own XComs only"
        return self.xcom.get(key)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.start_date


class StateStore:
    """The task state store of Airflow 3.3: JSON by key, for all tries and clears of a task."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.content[key]) if key in self.content else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.content[key] = json.dumps(value)

    def delete(self, key: str) -> None:
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
    """A context for the first try of an operator's task, or for the one that the values name.

    :param dag_run: its DAG run; None: one that starts now with a first attempt, else that of the first attempt.
    """
    task_instance = TaskInstance(operator.task_id, **{"max_tries": operator.retries or 0, **values})
    run = (task_instance.dag_id, task_instance.run_id)
    if dag_run is None and task_instance.try_number == 1:
        _DAG_RUNS[run] = DagRun()
    dag_run = dag_run or _DAG_RUNS.setdefault(run, DagRun())
    context: dict[str, Any] = {"ti": task_instance, "task_instance": task_instance, "dag_run": dag_run}
    return context if store is None else {**context, "task_state_store": store}


class Attempts:
    """The attempts of one task instance in one DAG run, counted as Airflow counts them.

    :param make: makes the operator again for each attempt, as each worker process does.
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
        self.context = context_of(
            operator,
            self.store,
            dag_run=self._dag_run,
            try_number=self._try_number,
            max_tries=self._max_tries,
            **self._identity,
        )
        return operator.execute(self.context)

    def clear(self, *, retries: int | None = None) -> None:
        """Clear the task.

        :param retries: of the DAG file at this moment; None: as the worker has it.
        """
        retries = self._make().retries if retries is None else retries
        self._max_tries = self._try_number + retries
        self._dag_run.clear_number += 1

    def recreate(self) -> None:
        """Delete the DAG run and create it again: nothing that Airflow kept of it is left."""
        self._dag_run, self._try_number, self._max_tries = DagRun(), 0, None
        self.store = None if self.store is None else StateStore()


def search_once(session: Any, find: Callable[[], Any], seconds: float) -> Any:
    """Search without waiting for what may appear later: for tests over a socket, whose time is real."""
    del session, seconds
    return find()


def through_database(trigger: BaseTrigger) -> BaseTrigger:
    """Write a trigger down and make it again, as scheduler and triggerer do."""
    from airflow.models.trigger import Trigger

    row = Trigger.from_object(trigger)
    made: BaseTrigger = of_this_version(row.classpath)(**row.kwargs)
    return made


async def only_event(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger to its end and return the payload of its only event, as the database keeps it."""
    payloads = [event.payload async for event in trigger.run()]
    assert len(payloads) == 1
    payload: dict[str, Any] = json.loads(json.dumps(payloads[0]))
    return payload


def deferral(operator: Any, context: Any) -> TaskDeferred:
    """Execute an operator that must defer."""
    try:
        result = operator.execute(context)
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError(f"it did not defer, but returned {result!r}")


@dataclass
class Ending:
    """How a task ended: with a result, or with an error."""

    result: Any = None
    error: BaseException | None = None
    deferrals: int = 0

    def kind(self) -> type[BaseException] | None:
        return None if self.error is None else type(self.error)


def play(make: Callable[[], Any], context: dict[str, Any], begin: Callable[[], Any] | None = None) -> Ending:
    """Run a task to its end: in one process, or through as many deferrals as it wants, each in a process of its own.

    :param make: makes the operator anew, as each process does when it reads the DAG.
    :param begin: what comes first; None: execute the operator.
    """
    deferrals = 0
    step: Callable[[], Any] = begin or (lambda: make().execute(context))
    while True:
        try:
            with _alarm(make().execution_timeout):
                return Ending(result=step(), deferrals=deferrals)
        except TaskDeferred as deferred:  # not many turns
            deferrals += 1
            step = _resumption(make, deferred, context)
        except BaseException as error:
            return Ending(error=error, deferrals=deferrals)


def _resumption(make: Callable[[], Any], deferred: TaskDeferred, context: dict[str, Any]) -> Callable[[], Any]:
    payload = asyncio.run(only_event(through_database(deferred.trigger)))
    arguments = {**json.loads(json.dumps(deferred.kwargs or {})), "event": payload}
    return lambda: make().resume_execution(deferred.method_name, arguments, context)


def _alarm(execution_timeout: Any) -> AbstractContextManager[Any]:
    """What Airflow puts around an operator with ``execution_timeout``."""
    if execution_timeout is None:
        return nullcontext()
    alarm: AbstractContextManager[Any] = timeout(execution_timeout.total_seconds())
    return alarm


def timeless(text: str) -> str:
    """Take out of a text what depends on when it was written."""
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
