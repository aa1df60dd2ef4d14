"""The latency of a night: from a build's end to the start of the next task, compared with dbt Cloud's operator."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dev.benchmarks.clients import triggers
from dev.benchmarks.servers.certificates import Authority
from dev.benchmarks.servers.process import ServerProcess, serving
from dev.chaos.evidence import Row
from dev.cluster.figures import distribution
from dev.cluster.scenarios import CHECK_INTERVAL, TIMEOUT, ScenarioError, has_ended
from dev.cluster.site import Site

#: DAGs by their names in tables.
DAGS = {
    "dbt-cloud: one deferrable operator": "night_dbt_cloud",
    "this package: one deferrable operator": "night_one_task",
    "this package: start, sensor in the triggerer": "night_in_triggerer",
}
#: The longest pause between two polls, in seconds; Airflow reads it from the environment.
INTERVAL, VARIABLE = 15.0, "NIGHT_INTERVAL"
#: The parts of the time from a build's end to the next task, in order.
PARTS = ("poll", "trigger event", "queue and worker start", "worker", "next task")
#: Builds take between 25 s and 55 s: they end at any moment between two polls.
SECONDS, SPREAD = 25.0, 30.0
#: Seconds between two runs, so that they do not wait for each other on two cores.
PAUSE = 3.0


@contextmanager
def serve(authority: Authority) -> Iterator[tuple[ServerProcess, dict[str, str]]]:
    """Serve both APIs while the block lasts; with the environment variables that Airflow needs."""
    with serving("polls", authority, seconds=SECONDS, spread=SPREAD) as server:
        _, connection = triggers.connection("metakraftwerk", server.url)
        name, peer = triggers.connection("dbt-cloud", server.url)
        yield (
            server,
            {**authority.environment, "AIRFLOW_CONN_NIGHT": connection, name: peer, VARIABLE: str(INTERVAL)},
        )


def measure(site: Site, server: ServerProcess, count: int) -> list[dict[str, Any]]:
    """Run each DAG a number of times, interleaved, and return the parts of each one's latency."""
    known = site.client.dag_ids()
    dags = {name: dag_id for name, dag_id in DAGS.items() if dag_id in known}
    run_ids = [f"night-{number:02d}" for number in range(count)]
    for run_id in run_ids:
        for dag_id in dags.values():
            site.client.trigger(dag_id, run_id=run_id)
            site.stopped.wait(PAUSE)
    deadline = time.monotonic() + TIMEOUT
    while not all(has_ended(site, dag_id, run_ids) for dag_id in dags.values()):
        if time.monotonic() > deadline or site.stopped.wait(CHECK_INTERVAL):
            raise ScenarioError(f"The runs of a night have not ended after {TIMEOUT:.0f} s.")
    ends = {int(number): moments for number, moments in server.read("/ends").items()}
    return [{"tasks": name, **_latency(site, dag_id, run_ids, ends)} for name, dag_id in dags.items()]


def _latency(
    site: Site, dag_id: str, run_ids: list[str], ends: Mapping[int, tuple[float, float | None]]
) -> dict[str, Any]:
    tasks = {(row["run_id"], row["task_id"]): row for row in site.database.tasks(dag_id, run_ids)}
    events = site.database.events(dag_id, run_ids)
    results = {(row["run_id"], row["task_id"]): row["value"] for row in site.database.results(dag_id, run_ids)}
    found: dict[str, list[float]] = {part: [] for part in ("all", *PARTS)}
    for run_id in run_ids:
        ended, noticed = ends[_number(results.get((run_id, "start")) or results[run_id, "wait"])]
        starts = [e for e in events if e["run_id"] == run_id and e["event"] == "running"]
        following = next(event["dttm"].timestamp() for event in starts if event["task_id"] == "next_task")
        points = [ended, noticed or ended, *_end_of_wait(tasks[run_id, "wait"], starts), following]
        for part, (before, after) in zip(PARTS, itertools.pairwise(points), strict=True):
            found[part].append(after - before)
        found["all"].append(following - ended)
    return {part: distribution(values) for part, values in found.items()}


def _end_of_wait(task: Row, starts: Sequence[Row]) -> list[float]:
    """Return when the trigger's event was handled, when a worker started, and when the task ended."""
    ended = task["end_date"].timestamp()
    on_worker = [e["dttm"].timestamp() for e in starts if e["task_id"] == "wait"]
    if len(on_worker) < 2:
        # The task ended in the triggerer.
        return [ended, ended, ended]
    return [task["scheduled_dttm"].timestamp(), on_worker[-1], ended]


def _number(result: Any) -> int:
    """Return the number of a build, or of a run of dbt Cloud, from what the task returned."""
    if isinstance(result, str):
        result = json.loads(result)
    return int(result["id"] if isinstance(result, dict) else result)
