"""A hundred triggers in one triggerer share one login and ten connections."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from mkw_airflow_provider.client.transports.network import POOL
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.budgets.conftest import FASTER, Hasten

TRIGGERS = 100
#: For how many seconds aiohttp keeps an idle connection by default.
USUAL_KEEP_ALIVE = 15.0


async def wait_for(build_ids: list[int], meanwhile: Callable[[], Any]) -> list[Any]:
    """Run a trigger for each build.

    :param meanwhile: called in a thread when the triggers have started.
    """

    async def one(build_id: int) -> Any:
        trigger = BuildTrigger(metakraftwerk_conn_id="metakraftwerk_default", build_id=build_id, poll_interval=60.0)
        return [event.payload async for event in trigger.run()]

    *events, _ = await asyncio.gather(*map(one, build_ids), asyncio.to_thread(meanwhile))
    return events


def longest_pauses(requests: list[dict[str, Any]]) -> list[float]:
    """Return the longest pause between two polls of each build, in seconds of the faster clock."""
    moments: dict[str, list[datetime]] = {}
    for request in requests:
        moments.setdefault(request["path"], []).append(datetime.fromisoformat(request["time"].replace("Z", "+00:00")))
    pauses = {path: [(b - a).total_seconds() for a, b in itertools.pairwise(polls)] for path, polls in moments.items()}
    return [FASTER * max(each, default=0.0) for each in pauses.values()]


def test_triggers_share_login_and_connections(connected: Any, hasten: Hasten) -> None:
    """The builds end when each has been polled with a long pause, however slow the machine is."""
    connected.set(build_seconds=1_000_000.0)
    build_ids = [connected.start_build()["id"] for _ in range(TRIGGERS)]
    before = connected.connections()["accepted"]

    def end_builds_after_a_long_pause() -> None:
        while len(paused := longest_pauses(polls())) < TRIGGERS or min(paused) <= USUAL_KEEP_ALIVE:
            time.sleep(0.2)
        for build_id in build_ids:
            connected.end_build(build_id, "FINISHED")

    def polls() -> list[dict[str, Any]]:
        return list(connected.requests("GET", "/api/v1/builds/*"))

    events = hasten(wait_for(build_ids, end_builds_after_a_long_pause))
    assert Counter(event["build"]["status"] for (event,) in events) == {"FINISHED": TRIGGERS}
    assert len(polls()) >= 3 * TRIGGERS
    assert len(connected.requests("POST", "/authentication")) == 1
    assert POOL == 10
    assert connected.connections()["accepted"] - before <= POOL
