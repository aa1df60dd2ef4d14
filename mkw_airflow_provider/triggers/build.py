"""The trigger that waits for a build, and the event that it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import WaitInterruptedError
from mkw_airflow_provider.safe_values import safe_value

#: No event is sent in the first seconds: Airflow may fail a task whose trigger fires before it has recorded the
#: deferral.
EARLIEST_EVENT = 5.0
#: Seconds, as in a connection without ``outage_tolerance``.
DEFAULT_TOLERANCE = 900.0
#: What stops a trigger or the process from outside is not a failure of the trigger.
SIGNALS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


class BuildTrigger(BaseTrigger):
    """Waits for a build in the triggerer.

    All triggers of one connection share a session of at most ten connections, and one login. The arguments hold no
    secret: Airflow stores them in clear text. Any argument may be missing, and unknown ones are ignored: the row may
    have been written by another version of this package.

    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param build_id: the build to wait for.
    :param poll_interval: the longest pause between two polls, in seconds.
    :param deadline: when to give up, in seconds since the epoch; None: never.
    :param limit: the argument that the deadline comes from: ``timeout`` or ``execution_timeout``.
    :param outage_tolerance: how long to retry while the Airflow connection cannot be read, in seconds.
    :param end_from_trigger: end the task without a worker if the build is FINISHED (Airflow 3.3 and later).
    """

    #: Whether a worker has polled the build before it deferred the task.
    has_polled = True
    #: What the trigger does, once that is loaded with all that it needs.
    _loaded: ClassVar[Any] = None

    def __init__(
        self,
        *,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        build_id: int = 0,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        limit: str | None = None,
        outage_tolerance: float = DEFAULT_TOLERANCE,
        end_from_trigger: bool = False,
        **_of_other_versions: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self.build_id = build_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.limit = limit
        self.outage_tolerance = outage_tolerance
        self.end_from_trigger = end_from_trigger

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, in a form that Airflow can store."""
        arguments: dict[str, Any] = {
            "metakraftwerk_conn_id": self.metakraftwerk_conn_id,
            "build_id": self.build_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
        }
        # What has its default is left out: an earlier version of this package may read the row after a rollback.
        if self.limit is not None:
            arguments["limit"] = self.limit
        if self.outage_tolerance != DEFAULT_TOLERANCE:
            arguments["outage_tolerance"] = self.outage_tolerance
        if self.end_from_trigger:
            arguments["end_from_trigger"] = True
        return f"{type(self).__module__}.{type(self).__qualname__}", safe_value(arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event. Never raises: an exception can end the triggerer for all tasks of the site.

        The event's payload is the JSON form of a ``WaitResult``
        with ``deadline`` and ``history``.
        """
        began = time.monotonic()
        try:
            payload = await self._wait()
        except SIGNALS:
            raise
        except BaseException as error:  # Airflow's DeadlockImminentError is not an Exception
            payload = self._failure(error)
        if self.has_polled:
            await asyncio.sleep(max(0.0, EARLIEST_EVENT - (time.monotonic() - began)))
        yield await self._event(safe_value(payload))

    async def _wait(self) -> dict[str, Any]:
        # Loading the client for the first time takes too long for an event loop that others wait on.
        if BuildTrigger._loaded is None:
            BuildTrigger._loaded = await asyncio.to_thread(_load_watch)
        payload: dict[str, Any] = await BuildTrigger._loaded(self)
        return payload

    def _failure(self, error: BaseException) -> dict[str, Any]:
        """Return the payload for a failure that has nothing to do with the build."""
        text = type(error).__name__
        with suppress(Exception):
            text = f"{text}: {foreign_text(str(error), 500)}"
        reason = WaitInterruptedError(f"the trigger failed with {text}")
        with suppress(Exception):  # what cannot be encoded cannot be logged either
            self.log.warning("Waiting for build %r was interrupted: %s", self.build_id, reason)
        return {"outcome": "error", "build_id": self.build_id, "deadline": self.deadline, "error": reason.to_dict()}

    async def _event(self, payload: dict[str, Any]) -> TriggerEvent:
        event = TriggerEvent(payload)  # type: ignore[no-untyped-call]
        if not self.end_from_trigger or not self._may_end() or (payload.get("build") or {}).get("status") != "FINISHED":
            return event
        try:
            await self._push_result(payload)
        except SIGNALS:
            raise
        except BaseException as error:
            self.log.warning("A worker ends the task, because its result could not be pushed here: %s", error)
            return event
        return TaskSuccessEvent()

    def _may_end(self) -> bool:
        # Without a triggerer, as in `dag.test()`, an event that ends a task would be taken for a payload.
        return self.trigger_id is not None

    async def _push_result(self, payload: dict[str, Any]) -> None:
        # Airflow asks its supervisor and waits for the response: on the event loop, all other triggers would wait, too.
        await asyncio.to_thread(push_xcom, self.task_instance, payload["build"])
        for line in await asyncio.to_thread(_last_lines, payload):
            self.log.info("%s", line)

    async def on_kill(self) -> None:
        """Log that the build is still running. Airflow 3.3 also calls this when another triggerer takes over."""
        self.log.warning(
            "Stopped waiting for build %s. If it has not ended, it is still running: the API cannot cancel builds.",
            self.build_id,
        )


def push_xcom(task_instance: Any, result: Any) -> None:
    """Push a task's result. Not by the event: Airflow 3.3.2 passes its XComs on as text."""
    # Airflow 3.3 only: no other version ends tasks in the triggerer.
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(
        "return_value",
        result,
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=-1 if task_instance.map_index is None else task_instance.map_index,
    )


def _last_lines(payload: dict[str, Any]) -> list[str]:
    """Return what a worker logs when it resumes after the wait."""
    # Here and not above: the client is loaded when the first trigger runs.
    from mkw_airflow_provider.client.flows.wait import PollHistory
    from mkw_airflow_provider.client.flows.wait_result import from_dict

    build_id = payload["build_id"]
    return [PollHistory.describe(build_id, payload.get("history")), from_dict(payload, build_id).message()]


def _load_watch() -> Any:
    # Here and not above: it loads aiohttp, which no DAG file needs.
    from mkw_airflow_provider.triggers.watch import watch

    return watch
