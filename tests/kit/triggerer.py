"""Tasks that Airflow 3.3 starts in the triggerer, made from the serialized DAG by Airflow's own code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from tests.kit.tasks import DAG_ID, RUN, Ending, of_this_version, run_task

__all__ = ["Supervisor", "only", "run_without_worker", "serialized_task", "since_33", "started"]

since_33 = pytest.mark.skipif(
    tuple(map(int, airflow_version.split(".")[:2])) < (3, 3), reason="Airflow starts tasks in the triggerer since 3.3"
)


class Supervisor:
    """What triggers use of Airflow's supervisor: XComs of tasks, and secrets to mask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from airflow.sdk.execution_time import task_runner

        self.xcom: dict[tuple[str, str, int], Any] = {}
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)

    def send(self, message: Any) -> Any:
        from airflow.sdk.execution_time.comms import GetXCom, SetXCom, XComResult

        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        assert (message.dag_id, message.run_id) == (DAG_ID, RUN)
        place = (message.task_id, message.key, message.map_index)
        if isinstance(message, GetXCom):
            return XComResult(key=message.key, value=self.xcom.get(place))
        assert isinstance(message, SetXCom)
        self.xcom[place] = json.loads(json.dumps(message.value))
        return None

    async def asend(self, message: Any) -> Any:
        """Take what is to be masked in the logs."""
        assert type(message).__name__ == "MaskSecret"


def serialized_task(make: Callable[[], Any]) -> Any:
    """Return a task as the scheduler knows it."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG(DAG_ID, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        task = make()
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag)))).get_task(task.task_id)


def started(task: Any, *, start: datetime | None = None, try_number: int = 1) -> BaseTrigger:
    """Return the trigger that Airflow makes for a task when it starts.

    :param task: from the serialized DAG.
    """
    from airflow.models.trigger import Trigger
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    assert task.start_from_trigger is True
    arguments = task.start_trigger_args
    start = start or datetime.now(timezone.utc)
    limits = [limit for limit in (arguments.timeout, task.execution_timeout) if limit is not None]
    row = Trigger(classpath=arguments.trigger_cls, kwargs=arguments.trigger_kwargs)
    kept = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    made: Any = of_this_version(row.classpath)(**{key: smart_decode_trigger_kwargs(kept[key]) for key in kept})
    made.trigger_id = 1
    made.timeout_after = start + min(limits, default=timedelta(days=7))
    made.task_instance = SimpleNamespace(
        dag_id=DAG_ID, run_id=RUN, task_id=task.task_id, map_index=-1, try_number=try_number
    )
    trigger: BaseTrigger = made
    return trigger


async def only(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger to its end and return its only event."""
    (event,) = [event async for event in trigger.run()]
    return event


def run_without_worker(make: Callable[[], Any], context: dict[str, Any], supervisor: Supervisor) -> Ending:
    """Run a task that starts in the triggerer to its end; a worker resumes it only if the trigger says so."""
    task_id, start = context["ti"].task_id, context["ti"].start_date.astimezone(timezone.utc)
    event = asyncio.run(only(started(serialized_task(make), start=start)))
    if isinstance(event, TaskSuccessEvent):
        return Ending(result=supervisor.xcom[task_id, "return_value", -1])
    arguments = {"event": json.loads(json.dumps(event.payload))}
    return run_task(make, context, lambda operator: operator.resume_execution("execute_complete", arguments, context))
