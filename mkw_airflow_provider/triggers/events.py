"""The trigger that watches for finished builds, for ``AssetWatcher`` (Airflow 3 and later)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from mkw_airflow_provider.client.validation import at_most_one, optional_number, optional_text, seconds
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS, event_trigger_base

__all__ = ["BuildFinishedTrigger"]

#: Seconds between two polls at least: an event is recorded some seconds after it was sent.
SHORTEST_INTERVAL = 3.0


class BuildFinishedTrigger(event_trigger_base()):  # type: ignore[misc]  # its base depends on the version of Airflow
    """Sends an event for each build of a project that finishes, whoever started it.

    The event's payload is the build as a dict. Each build is reported at least once: if the triggerer is killed within
    seconds after an event, it sends the event again, so what reacts to events must recognize a build that it has
    handled. Airflow 3.3 remembers in the asset's state store which builds have been reported. Earlier versions do not:
    there, only builds that finish while the triggerer runs are reported.

    All watchers of one project, user and connection share one poll on Airflow 3.3. Errors are logged, at most once a
    minute, and the next poll follows.

    :param asset: name of the watched asset. It keeps the triggers of two assets apart.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param project: name of the project; without it and ``project_id``, the connection's.
    :param project_id: id of the project.
    :param pattern: report only builds that contain this pattern.
    :param user: report only builds that this user started.
    :param poll_interval: seconds between two polls, at least 3.
    :raises ConfigurationError: for arguments that are wrong, and before Airflow 3.
    """

    def __init__(
        self,
        *,
        asset: str,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        project: str | None = None,
        project_id: int | None = None,
        pattern: str | None = None,
        user: str | None = None,
        poll_interval: float | timedelta = 60.0,
        **_of_other_versions: Any,
    ) -> None:
        if not AIRFLOW_V_3_0_PLUS:
            raise ConfigurationError("`BuildFinishedTrigger` needs Airflow 3.0 or later, which has the AssetWatcher")
        super().__init__()
        name = optional_text("asset", asset)
        if name is None:
            raise ConfigurationError("`asset` must be the name of the watched asset")
        at_most_one(project=project, project_id=project_id)
        self.asset = name
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self.project = optional_text("project", project)
        self.project_id = optional_number("project_id", project_id)
        self.pattern = optional_text("pattern", pattern)
        self.user = optional_text("user", user)
        self.poll_interval = max(seconds("poll_interval", poll_interval), SHORTEST_INTERVAL)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, in a form that Airflow can store."""
        names = ("asset", "metakraftwerk_conn_id", "project", "project_id", "pattern", "user", "poll_interval")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names if getattr(self, name) is not None
        }

    def shared_stream_key(self) -> Hashable:
        """Return what the watchers that share one poll have in common."""
        return (
            "metakraftwerk builds",
            self.metakraftwerk_conn_id,
            self.project,
            self.project_id,
            self.user,
            self.poll_interval,
        )

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """Yield the list of builds after each poll: the complete one, so that a watcher that joins late misses nothing.

        :param kwargs: of one of the watchers.
        """
        watching = await _load()
        async for builds in watching.poll_builds(cls(**kwargs)):
            yield builds

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Send this watcher's events. Never raises: Airflow would start the trigger again each second.

        :param shared_stream: lists of builds.
        """
        watching = await _load()
        async for payload in watching.new_builds(self, shared_stream):
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll alone, where Airflow has no shared streams."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event


async def _load() -> Any:
    # Loading the client for the first time takes too long for an event loop that others wait on.
    return await asyncio.to_thread(_load_watching)


def _load_watching() -> Any:
    # Here and not above: reading a DAG file must not load the client.
    from mkw_airflow_provider.triggers import watch_builds

    return watch_builds
