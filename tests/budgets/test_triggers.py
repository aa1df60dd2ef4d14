"""What a hundred triggers of one triggerer ask of the server: one login, ten connections, and none per poll."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import datetime
from typing import Any

from mkw_airflow_provider.client.transports.network import POOL
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.budgets.conftest import FASTER, Hasten

TRIGGERS = 100
#: Seconds for which aiohttp keeps an idle connection unless it is told otherwise.
USUAL_KEEP_ALIVE = 15.0


async def wait_for(build_ids: list[int]) -> list[Any]:
    async def one(build_id: int) -> Any:
        trigger = BuildTrigger(metakraftwerk_conn_id="metakraftwerk_default", build_id=build_id, poll_interval=60.0)
        return [event.payload async for event in trigger.run()]

    return await asyncio.gather(*map(one, build_ids))


def longest_pauses(requests: list[dict[str, Any]]) -> list[float]:
    """The longest pause between two polls of each build, in seconds of the clocks that run faster."""
    moments: dict[str, list[datetime]] = {}
    for request in requests:
        moments.setdefault(request["path"], []).append(datetime.fromisoformat(request["time"].replace("Z", "+00:00")))
    pauses = {path: [(b - a).total_seconds() for a, b in itertools.pairwise(polls)] for path, polls in moments.items()}
    return [FASTER * max(each, default=0.0) for each in pauses.values()]


def test_triggers_share_one_login_and_ten_connections_however_long_the_pauses(connected: Any, hasten: Hasten) -> None:
    connected.set(build_seconds=6.0)
    build_ids = [connected.start_build()["id"] for _ in range(TRIGGERS)]
    before = connected.connections()["accepted"]
    events = hasten(wait_for(build_ids))

    assert Counter(event["build"]["status"] for (event,) in events) == {"FINISHED": TRIGGERS}
    polls = connected.requests("GET", "/api/v1/builds/*")
    assert len(polls) >= 3 * TRIGGERS
    assert min(longest_pauses(polls)) > USUAL_KEEP_ALIVE
    assert len(connected.requests("POST", "/authentication")) == 1
    assert POOL == 10
    assert connected.connections()["accepted"] - before <= POOL
