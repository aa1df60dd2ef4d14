"""Figures of a scenario: what its chains cost, and how long each part of a wait's end took."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dev.chaos.evidence import Row, moment
from dev.cluster.chains import STEPS, Chain

_WAIT, _NEXT = STEPS[1], STEPS[2]
#: The parts of the time from a build's end to the start of the next task, in order.
PARTS = ("poll", "trigger event", "queue", "worker start", "worker", "next task queued", "next task starts")


@dataclass(frozen=True)
class Usage:
    """What the processes of each kind used during a scenario.

    :param seconds: how long it took.
    :param cpu: CPU seconds by kind.
    :param memory: bytes by kind, the most that was seen.
    """

    seconds: float
    cpu: Mapping[str, float]
    memory: Mapping[str, int]


def summarize(name: str, chains: Sequence[Chain], usage: Usage, requests: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of one scenario in JSON form."""
    ends = build_ends(chains)
    delays = [seconds_between(ends[chain.name], chain.tasks[_WAIT]["end_date"]) for chain in chains]
    count = len(chains)
    return {
        "scenario": name,
        "chains": count,
        "seconds": round(usage.seconds, 1),
        "chains_per_minute": round(60 * count / usage.seconds, 1),
        "cpu_per_chain": {kind: round(value / count, 3) for kind, value in usage.cpu.items()},
        "memory_mib": {kind: round(value / 2**20) for kind, value in usage.memory.items()},
        "worker_starts_per_chain": round(sum(map(_starts, chains)) / count, 2),
        "logins_per_chain": round(sum(r["path"] == "/authentication" for r in requests) / count, 2),
        "polls_per_chain": round(sum(_is_poll(request) for request in requests) / count, 2),
        "slot_seconds_per_wait": round(sum(map(slot_seconds, chains)) / count, 2),
        "wait_seconds": round(
            sum(seconds_between(c.tasks[_WAIT]["start_date"], c.tasks[_WAIT]["end_date"]) for c in chains) / count, 1
        ),
        "delay": distribution(delays),
        "parts": parts(chains, ends, requests),
    }


def build_ends(chains: Iterable[Chain]) -> dict[str, datetime]:
    """Return when the build of each chain ended, as the wait returned it."""
    return {chain.name: moment(chain.results[_WAIT]["build_end"]) for chain in chains}


def slot_seconds(chain: Chain) -> float:
    """Return for how long the wait of a chain held a Celery slot."""
    return sum(
        seconds_between(before["dttm"], after["dttm"])
        for before, after in itertools.pairwise(chain.events.get(_WAIT, ()))
        if before["event"] == "running"
    )


def parts(
    chains: Sequence[Chain], ends: Mapping[str, datetime], requests: Sequence[Row]
) -> dict[str, dict[str, float]]:
    """Return the parts of the time from a build's end to the next task, of waits that a worker ended."""
    seen = _first_responses(requests)
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    for chain in chains:
        wait, following = chain.tasks[_WAIT], chain.tasks[_NEXT]
        events = [event for event in chain.events.get(_WAIT, ()) if event["event"] != "deferred"]
        path = f"/api/v1/builds/{chain.results[STEPS[0]]}"
        poll = next((at for at in seen.get(path, ()) if at >= ends[chain.name].timestamp()), None)
        started = next((e["dttm"] for e in chain.events.get(_NEXT, ()) if e["event"] == "running"), None)
        if poll is None or started is None or len(events) != len(chain.events[_WAIT]) - 1 or len(events) < 2:
            continue
        points = [
            ends[chain.name].timestamp(),
            poll,
            *(at.timestamp() for at in (wait["scheduled_dttm"], wait["queued_dttm"], events[-2]["dttm"])),
            *(at.timestamp() for at in (wait["end_date"], following["queued_dttm"], started)),
        ]
        for part, (before, after) in zip(PARTS, itertools.pairwise(points), strict=True):
            found[part].append(after - before)
        found.setdefault("all", []).append(points[-1] - points[0])
    return {part: distribution(values) for part, values in found.items() if values}


def distribution(values: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile; empty without values."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(ordered[math.ceil(0.5 * len(ordered)) - 1], 2),
        "p95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 2),
        "n": len(ordered),
    }


def seconds_between(before: datetime, after: datetime) -> float:
    """Return the seconds between two moments."""
    return (after - before).total_seconds()


def _starts(chain: Chain) -> int:
    return sum(event["event"] == "running" for events in chain.events.values() for event in events)


def _is_poll(request: Row) -> bool:
    return request["method"] == "GET" and str(request["path"]).startswith("/api/v1/builds/")


def _first_responses(requests: Iterable[Row]) -> dict[str, list[float]]:
    """Return when each build was polled with a response, by path, in epoch seconds."""
    seen: dict[str, list[float]] = {}
    for request in requests:
        if _is_poll(request) and request["status"] == 200:
            arrived = moment(request["time"]).timestamp()
            seen.setdefault(request["path"], []).append(arrived + (request["seconds"] or 0.0))
    return seen
