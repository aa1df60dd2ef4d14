"""Watchers that poll often, and the server that they watch, for the tests of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.triggers.events import BuildFinishedTrigger
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS
from tests.kit.watchers import until

needs_watchers = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 3 has watchers")
needs_store = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 has shared streams and the state store")
BUILDS = "/api/v1/builds"


class Server:
    """The emulator, from an event loop."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    async def start(self, count: int = 1, **arguments: Any) -> list[int]:
        """Start builds and return their ids."""
        return [(await asyncio.to_thread(self.emulator.start_build, **arguments))["id"] for _ in range(count)]

    async def finish(self, *builds: int, status: str = "FINISHED") -> None:
        for build in builds:
            await asyncio.to_thread(self.emulator.end_build, build, status)

    async def build(self, **arguments: Any) -> int:
        """Start and finish a build."""
        (number,) = await self.start(**arguments)
        await self.finish(number)
        return number

    def polls(self) -> int:
        return len([request for request in self.emulator.requests("GET", BUILDS) if request["status"]])

    async def more_polls(self, count: int = 2) -> None:
        """Return when as many more polls have begun and ended."""
        seen = await asyncio.to_thread(self.polls)
        await until(lambda: self.polls() >= seen + count)


def play(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def watcher(**arguments: Any) -> BuildFinishedTrigger:
    made = {"asset": "builds", "project": "DEMO_PROJECT", "poll_interval": 0.05, **arguments}
    return BuildFinishedTrigger(**made)
