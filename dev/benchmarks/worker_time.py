"""What a build that is waited for costs the workers of a real Airflow, against dbt Cloud's operator."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import psutil

from dev.benchmarks import environment
from dev.benchmarks.clients import triggers
from dev.benchmarks.harness import Figures, Plan, Table, Target, interleaved
from dev.benchmarks.servers.certificates import Authority
from dev.benchmarks.servers.process import serving
from dev.stack.airflow import AirflowStack

#: DAG ids by what tables call them.
DAGS = {
    "dbt-cloud: one deferrable operator": "dbt_cloud",
    "this package: start, deferrable sensor": "metakraftwerk_start_and_sensor",
    "this package: one deferrable operator": "metakraftwerk_one_task",
}
PEER, OURS, _ = DAGS
#: Seconds that each build takes: no trigger may report an end in the first five.
BUILD_SECONDS = 8.0


def run(plan: Plan, authority: Authority) -> list[Table]:
    """Measure, and return the table."""
    with serving("polls", authority, seconds=BUILD_SECONDS) as server:
        connections = dict(triggers.connection(kind, server.url) for kind in ("metakraftwerk", "dbt-cloud"))
        stack = AirflowStack(
            environment.HOME / "airflow-stack",
            dags=environment.ROOT / "dev" / "benchmarks" / "dags",
            cache=environment.HOME,
            environment={
                **connections,
                **authority.environment,
                "PYTHONPATH": str(environment.ROOT),
            },
        )
        with stack:
            for dag_id in DAGS.values():
                stack.client.wait_for_dag(dag_id)
            at_once = plan.size(4, 1)
            for dag_id in DAGS.values():
                _builds(stack, dag_id, 1)
            subjects: dict[str, Callable[[], Figures]] = {
                name: partial(_builds, stack, dag_id, at_once) for name, dag_id in DAGS.items()
            }
            rounds = interleaved("worker time", plan, subjects)
    return [
        Table(
            name="worker-time",
            title="Worker time for each build waited for, in a real Airflow",
            note=f"LocalExecutor, {at_once} DAG runs at once, builds of {BUILD_SECONDS:g} s, over HTTPS. CPU: of the "
            "workers and of the processes that they start, one for each time that a task comes to a worker.",
            columns=("tasks", "worker CPU, s", "in proportion to dbt-cloud", "times in a worker"),
            rows=[
                [name, rounds.median(name, "cpu"), rounds.ratio(name, PEER, "cpu"), rounds.median(name, "processes")]
                for name in DAGS
            ],
            targets=[Target("worker CPU of start and sensor against dbt-cloud", 0.6, rounds.ratio(OURS, PEER, "cpu"))],
            rounds=rounds.values,
        )
    ]


def _builds(stack: AirflowStack, dag_id: str, count: int) -> Figures:
    """Run a DAG so many times at once, and return what each cost the workers."""
    workers = _workers()
    before = _cpu(workers)
    runs = [stack.client.trigger(dag_id) for _ in range(count)]
    for run_id in runs:
        state = stack.client.wait_for_run(dag_id, run_id)
        if state != "success":
            raise RuntimeError(f"run {run_id} of {dag_id} ended {state}")
    # A worker counts its child only when it has waited for it.
    time.sleep(2)
    events = [event["event"] for run_id in runs for event in stack.client.events(dag_id, run_id)]
    return {"cpu": (_cpu(workers) - before) / count, "processes": events.count("running") / count}


def _workers() -> list[psutil.Process]:
    """Return the worker processes of the LocalExecutor: the scheduler forks nothing else."""
    schedulers = [child for child in psutil.Process().children() if "scheduler" in " ".join(child.cmdline())]
    return [worker for scheduler in schedulers for worker in scheduler.children()]


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:4]) for process in processes)
