"""Triggers that need no worker after them, or none at all: Airflow 3.3 and later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timezone
from typing import Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from mkw_airflow_provider.client.validation import whole_number
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.triggers.build import BuildTrigger


class EndingTrigger(BuildTrigger):
    """Ends its task itself once the build is FINISHED; all other endings are a worker's.

    :param ends_with: the task's result: ``build``, ``build_id`` or ``nothing``. The other parameters are those of
        :class:`~mkw_airflow_provider.triggers.build.BuildTrigger`.
    """

    def __init__(self, *, ends_with: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.ends_with = ends_with

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, as JSON can hold them."""
        path, arguments = super().serialize()
        return path, {**arguments, "ends_with": self.ends_with}

    async def _event(self, payload: dict[str, Any]) -> TriggerEvent:
        if not self._may_end() or (payload.get("build") or {}).get("status") != "FINISHED":
            return await super()._event(payload)
        result = safe_value({"build": payload["build"], "build_id": self.build_id}.get(self.ends_with))
        try:
            if result is not None:
                # Airflow asks its supervisor and waits for the answer: on the event loop, all others would wait, too.
                await asyncio.to_thread(self._push, result)
            lines = _last_lines(payload)
        except Exception as error:
            self.log.info("The task's result cannot be pushed without a worker: %s", error)
            return await super()._event(payload)
        for line in lines:
            self.log.info("%s", line)
        return TaskSuccessEvent()

    def _may_end(self) -> bool:
        # Without a triggerer, as in `dag.test()`, an event that ends a task would be taken for a payload.
        return self.trigger_id is not None

    def _push(self, result: Any) -> None:
        # Not by the event: Airflow 3.3.2 hands on its XComs as text.
        from airflow.sdk.execution_time.xcom import XCom

        task: Any = self.task_instance
        XCom.set(
            "return_value",
            result,
            dag_id=task.dag_id,
            task_id=task.task_id,
            run_id=task.run_id,
            map_index=-1 if task.map_index is None else task.map_index,
        )


def _last_lines(payload: dict[str, Any]) -> list[str]:
    """Return what a worker logs when it goes on after the wait."""
    from mkw_airflow_provider.client.api.builds import Build
    from mkw_airflow_provider.client.flows.wait import PollHistory, ending

    return [PollHistory.describe(payload["build_id"], payload["history"]), ending(Build.from_json(payload["build"]))]


class SensorTrigger(EndingTrigger):
    """Does all of a sensor's work: takes the build's id from the task before, and waits.

    Airflow makes it from what stands in the DAG, so its arguments name no moment and, mostly, no build.

    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param build_id: the build to wait for; None: the one that another task has pushed.
    :param from_task: id of that task.
    :param from_key: key of its XCom.
    :param poll_interval: the longest pause between two looks, in seconds.
    :param wait: seconds from the task's start after which to give up.
    :param backstop: seconds from the task's start after which Airflow gives the trigger up.
    :param ends_with: the task's result: ``build`` or ``nothing``.
    """

    has_looked = False
    #: Set by the triggerer.
    timeout_after: Any = None

    def __init__(
        self,
        *,
        metakraftwerk_conn_id: str,
        build_id: int | None,
        from_task: str | None,
        from_key: str | None,
        poll_interval: float,
        wait: float,
        backstop: float,
        ends_with: str,
    ) -> None:
        super().__init__(
            metakraftwerk_conn_id=metakraftwerk_conn_id,
            build_id=build_id or 0,
            poll_interval=poll_interval,
            ends_with=ends_with,
        )
        self.from_task = from_task
        self.from_key = from_key
        self.wait = wait
        self.backstop = backstop

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, as JSON can hold them."""
        path, arguments = super().serialize()
        del arguments["deadline"]
        own = {name: getattr(self, name) for name in ("from_task", "from_key", "wait", "backstop")}
        return path, {**arguments, "build_id": self.build_id or None, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event.

        Where the build's id cannot be had here, its ``outcome`` is ``not started``: a worker begins the task.
        """
        self.deadline = self._started() + self.wait
        if not self.build_id and not await self._take_build_id():
            yield TriggerEvent({"outcome": "not started"})  # type: ignore[no-untyped-call]
            return
        async for event in super().run():
            yield event

    def _may_end(self) -> bool:
        # Of a task that no worker has touched, Airflow 3.3.2 keeps the end of the try before as the end.
        return super()._may_end() and getattr(self.task_instance, "try_number", 1) == 1

    def _started(self) -> float:
        """Return when the task started, which a restart of the triggerer does not change."""
        if self.timeout_after is None:
            return time.time()
        moment = self.timeout_after
        return float((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) - self.backstop

    async def _take_build_id(self) -> bool:
        """Take the id that the task before has pushed; whatever is wrong with it, a worker tells it better."""
        try:
            # Airflow asks its supervisor and waits for the answer: on the event loop, everybody else would wait, too.
            self.build_id = whole_number("build_id", await asyncio.to_thread(self._pull))
        except Exception as error:
            self.log.info("The build's id cannot be had without a worker: %s", error)
            return False
        return True

    def _pull(self) -> Any:
        from airflow.sdk.execution_time.xcom import XCom

        task: Any = self.task_instance
        return XCom.get_one(
            key=str(self.from_key), dag_id=task.dag_id, task_id=str(self.from_task), run_id=task.run_id, map_index=-1
        )
