"""Triggers of version 0.1, so that rows that it stored still load after an upgrade."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider.triggers.build import BuildTrigger
from mkw_airflow_provider.triggers.started import StartedBuildTrigger


class EndingTrigger(BuildTrigger):
    """A :class:`BuildTrigger`; a worker ends the task."""


class SensorTrigger(StartedBuildTrigger):
    """A :class:`StartedBuildTrigger`; a worker ends the task.

    :param wait: what is called ``timeout`` now.
    """

    def __init__(self, *, wait: float | None = None, timeout: float | None = None, **arguments: Any) -> None:
        super().__init__(timeout=wait if timeout is None else timeout, **arguments)
