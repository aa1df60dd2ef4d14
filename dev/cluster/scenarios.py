"""Chains without faults: one, many mapped ones, many DAG runs at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from dev.chaos.evidence import moment
from dev.cluster.chains import Chain, read_chains
from dev.cluster.figures import Usage, summarize
from dev.cluster.site import Site
from dev.stack.rest import FINAL_RUN_STATES

#: Seconds after which runs count as hanging: many times what they take on a busy machine with two cores.
TIMEOUT = 1500.0
CHECK_INTERVAL = 1.0
MEMORY_INTERVAL = 10.0
#: Seconds after the end of a run until the CPU time of its last worker is counted.
SETTLE_SECONDS = 3.0

Report = Callable[[str], None]


class ScenarioError(Exception):
    """A scenario did not get to its end."""


def run(
    site: Site, name: str, dag_id: str, run_ids: Sequence[str], count: int = 1
) -> tuple[list[Chain], dict[str, Any]]:
    """Run chains, all at the same time, and return them with their figures.

    :param run_ids: the runs to trigger.
    :param count: the chains of each run, if the DAG maps them.
    """
    began, cpu = time.monotonic(), site.cpu()
    since = site.control.health()["time"]
    for run_id in run_ids:
        site.client.trigger(dag_id, {"count": count}, run_id=run_id)
    most, measured = site.memory(), time.monotonic()
    while not has_ended(site, dag_id, run_ids):
        if time.monotonic() - began > TIMEOUT:
            raise ScenarioError(f"{name}: {dag_id} has not ended after {TIMEOUT:.0f} s.")
        # Measuring memory costs CPU time.
        if time.monotonic() - measured > MEMORY_INTERVAL:
            most, measured = _largest(most, site.memory()), time.monotonic()
        site.stopped.wait(CHECK_INTERVAL)
    seconds = time.monotonic() - began
    time.sleep(SETTLE_SECONDS)
    spent = {kind: value - cpu[kind] for kind, value in site.cpu().items()}
    usage = Usage(seconds, spent, _largest(most, site.memory()))
    chains = read_chains(site, dag_id, run_ids)
    requests = [request for request in site.control.requests() if moment(request["time"]) >= moment(since)]
    failed = [chain.name for chain in chains if any(task["state"] != "success" for task in chain.tasks.values())]
    if failed:
        raise ScenarioError(f"{name}: these chains did not succeed: {', '.join(failed)}. Logs: {site.stack.home}/logs")
    return chains, summarize(name, chains, usage, requests)


def idle(site: Site, seconds: float) -> dict[str, float]:
    """Return the CPU that each kind of process uses while nothing runs, as a share of a core."""
    cpu = site.cpu()
    time.sleep(seconds)
    return {kind: round((value - cpu[kind]) / seconds, 3) for kind, value in site.cpu().items()}


def has_ended(site: Site, dag_id: str, run_ids: Sequence[str]) -> bool:
    """Whether runs have ended; no while the database does not respond."""
    try:
        states = site.database.run_states(dag_id, run_ids)
    except SQLAlchemyError:
        return False
    return len(states) == len(run_ids) and set(states.values()) <= FINAL_RUN_STATES


def _largest(some: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return {kind: max(size, others[kind]) for kind, size in some.items()}
