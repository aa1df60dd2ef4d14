"""Tasks as Airflow runs them, without its processes: attempts, deferral, the event of the trigger, a retry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from dev.benchmarks.faults.rows import FINISHED, STILL_WAITING


@dataclass
class TaskInstance:
    """What an operator reads of its task instance; an attempt starts without XComs, as in Airflow."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 1
    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        """Store a value in its JSON form."""
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value", map_indexes: Any = None) -> Any:
        """Return a value that this task pushed."""
        del task_ids, map_indexes
        return self.xcoms.get(key)


class Task:
    """One task instance and its attempts.

    ``endings`` tells how each attempt ended, ``errors`` has the errors, ``result`` what the newest attempt returned,
    ``deferred`` its deferral, and ``event`` the event of the trigger, its error, or None if it is still waiting.

    :param instance: what the operator sees of it.
    :param make: makes a new operator: each attempt is a process of its own.
    """

    def __init__(self, instance: TaskInstance, make: Callable[[], Any]) -> None:
        self.instance = instance
        self.endings: list[str] = []
        self.errors: list[Exception] = []
        self.result: Any = None
        self.deferred: TaskDeferred | None = None
        self.event: Any = None
        self._make = make
        self._operator: Any = None

    @property
    def wants_retry(self) -> bool:
        """Whether Airflow would start another attempt."""
        failed = self.deferred is None and self.endings[-1] not in (FINISHED, STILL_WAITING)
        may_retry = not (self.errors and isinstance(self.errors[-1], AirflowFailException))
        return failed and may_retry and self.instance.try_number <= self.instance.max_tries

    def start(self) -> None:
        """Run an attempt up to its end or its deferral."""
        self.instance.try_number = len(self.endings) + 1
        self.instance.xcoms.clear()
        self._operator = self._make()
        self._step(lambda: self._operator.execute(self._context))

    def trigger(self) -> Any:
        """Return the trigger of a deferred attempt, made from what Airflow stores of it.

        :raises ValueError: the attempt is not deferred.
        """
        if self.deferred is None:
            raise ValueError("The task is not deferred")
        path, arguments = self.deferred.trigger.serialize()
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    def resume(self) -> None:
        """Resume the attempt with the event of its trigger.

        :raises ValueError: the attempt is not deferred.
        """
        deferred, self.deferred = self.deferred, None
        if deferred is None:
            raise ValueError("The task is not deferred")
        if self.event is None:
            self.endings.append(STILL_WAITING)
            return
        method, arguments = deferred.method_name, {**(deferred.kwargs or {})}
        if isinstance(self.event, Exception):
            method, arguments = "__fail__", {"error": "Trigger failure", "traceback": [repr(self.event)]}
        else:
            arguments["event"] = json.loads(json.dumps(self.event))
        self._step(lambda: self._operator.resume_execution(method, arguments, self._context))

    @property
    def _context(self) -> dict[str, Any]:
        return {"ti": self.instance, "task_instance": self.instance, "params": {}}

    def _step(self, step: Callable[[], Any]) -> None:
        try:
            self.result = step()
        except TaskDeferred as deferred:
            self.deferred = deferred
        except Exception as error:
            self.errors.append(error)
            self.endings.append(type(error).__name__)
        else:
            self.endings.append(FINISHED)


async def first_event(trigger: Any, patience: float) -> Any:
    """Run a trigger as the triggerer does up to its first event.

    :param patience: seconds after which it is stopped.
    :return: the event's payload, the error that the trigger raised, or None if it was stopped.
    """
    try:
        return await asyncio.wait_for(_run(trigger), patience)
    except asyncio.TimeoutError:
        return None


async def _run(trigger: Any) -> Any:
    await _portal()
    try:
        async for event in trigger.run():
            return event.payload
    except Exception as error:
        return error
    return RuntimeError("the trigger ended without an event")


async def _portal() -> None:
    """Let synchronous code of a trigger wait for the loop, as the triggerer of Airflow 3 does."""
    try:
        # Airflow 2.11 does not have it.
        import greenback
    except ImportError:
        return
    await greenback.ensure_portal()
