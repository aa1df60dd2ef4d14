"""The trigger that waits for a build, and the event that it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import MetaKraftwerkError
from mkw_airflow_provider.safe_values import safe_value

#: No event is sent in the first seconds: Airflow may fail a task whose trigger fires before it has put the task away.
EARLIEST_EVENT = 5.0
#: What stops a trigger or the process from outside is no failure of the trigger.
PASSED_ON = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


class BuildTrigger(BaseTrigger):
    """Waits for a build in the triggerer.

    All triggers of one connection share a session of at most ten connections, and one login. The arguments hold no
    secret: Airflow keeps them in clear.

    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param build_id: the build to wait for.
    :param poll_interval: the longest pause between two looks, in seconds.
    :param deadline: when to give up, in seconds since the epoch; None: never.
    """

    #: Whether a worker has looked at the build already, before it put the task away.
    has_looked = True
    #: What the trigger does, once that is loaded with all that it needs.
    _loaded: ClassVar[Any] = None

    def __init__(
        self, *, metakraftwerk_conn_id: str, build_id: int, poll_interval: float, deadline: float | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self.build_id = build_id
        self.poll_interval = poll_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, as JSON can hold them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            safe_value(
                {
                    "metakraftwerk_conn_id": self.metakraftwerk_conn_id,
                    "build_id": self.build_id,
                    "poll_interval": self.poll_interval,
                    "deadline": self.deadline,
                }
            ),
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send one event. Never raises: an exception's text can end the triggerer for all tasks.

        Its payload has ``outcome`` (``ended``, ``timeout`` or ``error``), ``build_id``, ``deadline``, ``history``, and
        with ``ended`` the ``build``, else the ``error``, both as JSON.
        """
        began = time.monotonic()
        try:
            payload = await self._watch()
        except PASSED_ON:
            raise
        except BaseException as error:  # Airflow's DeadlockImminentError is no Exception
            payload = self._failure(error)
        if self.has_looked:
            await asyncio.sleep(max(0.0, EARLIEST_EVENT - (time.monotonic() - began)))
        yield await self._event(payload)

    async def _event(self, payload: dict[str, Any]) -> TriggerEvent:
        return TriggerEvent(safe_value(payload))  # type: ignore[no-untyped-call]

    def _failure(self, error: BaseException) -> dict[str, Any]:
        """Return the payload for a failure that has nothing to do with the build."""
        text = "(its text cannot be read)"
        with suppress(Exception):
            text = foreign_text(str(error), 500)
        reason = MetaKraftwerkError(f"the trigger failed with {type(error).__name__}: {text}")
        with suppress(Exception):  # what cannot be encoded cannot be logged either
            self.log.warning("Waiting for build %r: %s", self.build_id, reason)
        return {"outcome": "error", "build_id": self.build_id, "deadline": self.deadline, "error": reason.to_dict()}

    async def _watch(self) -> dict[str, Any]:
        # Loading the client for the first time takes too long for an event loop that others wait on.
        if BuildTrigger._loaded is None:
            BuildTrigger._loaded = await asyncio.to_thread(_load_watch)
        payload: dict[str, Any] = await BuildTrigger._loaded(self)
        return payload

    async def on_kill(self) -> None:
        """Say what goes on. Airflow 3.3 also calls this when another triggerer has taken the trigger over."""
        self.log.warning(
            "Build %s is not watched here any more. It goes on at the server: the API has no cancel.", self.build_id
        )


def _load_watch() -> Any:
    from mkw_airflow_provider.triggers.watch import watch

    return watch
