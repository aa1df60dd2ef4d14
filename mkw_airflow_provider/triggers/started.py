"""The trigger of a sensor that starts in the triggerer, without a worker (Airflow 3.3 and later)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timezone
from typing import Any

from airflow.triggers.base import TriggerEvent

from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.validation import whole_number
from mkw_airflow_provider.triggers.build import SIGNALS, BuildTrigger


class StartedBuildTrigger(BuildTrigger):
    """Does a sensor's work from its start: gets the build's id from an upstream task, and waits.

    Airflow makes it from the DAG, so its arguments name no moment and, mostly, no build.

    :param build_id: the build to wait for; None: the one that an upstream task has pushed.
    :param from_task: id of that task.
    :param from_key: key of its XCom.
    :param timeout: seconds from the task's start after which to give up.
    :param backstop: seconds from the task's start after which Airflow ends the deferral.
    :param push_result: push the finished build as the task's result if the task ends here.
    """

    has_polled = False
    #: Set by the triggerer.
    timeout_after: Any = None

    def __init__(
        self,
        *,
        build_id: int | None = None,
        from_task: str | None = None,
        from_key: str | None = None,
        timeout: float | None = None,
        backstop: float = 0.0,
        push_result: bool = True,
        **arguments: Any,
    ) -> None:
        super().__init__(build_id=build_id or 0, **arguments)
        self.from_task = from_task
        self.from_key = from_key
        self.timeout = timeout
        self.backstop = backstop
        self.push_result = push_result

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, in a form that Airflow can store."""
        path, arguments = super().serialize()
        own = {name: getattr(self, name) for name in ("from_task", "from_key", "timeout", "backstop", "push_result")}
        return path, {**arguments, "build_id": self.build_id or None, "deadline": None, **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event. If the build's id is not available here, a worker must start the task."""
        try:
            if self.timeout is not None:
                self.deadline = self._started() + float(self.timeout)
            if not self.build_id:
                # Airflow asks its supervisor and waits for the response: on the event loop, all triggers would wait.
                self.build_id = whole_number("build_id", await asyncio.to_thread(self._pull))
        except SIGNALS:
            raise
        except BaseException as error:
            # Whatever is wrong with the id, a worker says it better.
            self.log.warning("A worker starts the task, because the triggerer cannot: %s", foreign_text(str(error)))
            yield TriggerEvent({"outcome": "not started"})  # type: ignore[no-untyped-call]
            return
        async for event in super().run():
            yield event

    def _may_end(self) -> bool:
        # Airflow 3.3.2 records the end of the previous attempt as the end of a task that no worker has touched.
        return super()._may_end() and getattr(self.task_instance, "try_number", 1) == 1

    async def _push_result(self, payload: dict[str, Any]) -> None:
        if self.push_result:
            await super()._push_result(payload)

    def _started(self) -> float:
        """Return when the task started, which a restart of the triggerer does not change."""
        if self.timeout_after is None:
            return time.time()
        moment = self.timeout_after
        return float((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) - self.backstop

    def _pull(self) -> Any:
        # Airflow 3.3 only: no other version starts tasks in the triggerer.
        from airflow.sdk.execution_time.xcom import XCom

        task: Any = self.task_instance
        return XCom.get_one(
            key=str(self.from_key), dag_id=task.dag_id, task_id=str(self.from_task), run_id=task.run_id, map_index=-1
        )
