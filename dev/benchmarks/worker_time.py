"""What waiting for a build costs the workers of a real Airflow, compared with dbt Cloud's operator."""

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

#: DAG ids by their names in tables.
DAGS = {
    "dbt-cloud: one deferrable operator": "dbt_cloud",
    "this package: start, deferrable sensor": "metakraftwerk_start_and_sensor",
    "this package: one deferrable operator": "metakraftwerk_one_task",
}
PEER, OURS, _ = DAGS
#: Duration of each build: triggers report no end in the first five seconds.
BUILD_SECONDS = 8.0


def run(plan: Plan, authority: Authority) -> list[Table]:
    """Measure and return the table."""
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
            concurrent = plan.size(4, 1)
            for dag_id in DAGS.values():
                _run_dag(stack, dag_id, 1)
            subjects: dict[str, Callable[[], Figures]] = {
                name: partial(_run_dag, stack, dag_id, concurrent) for name, dag_id in DAGS.items()
            }
            rounds = interleaved("worker time", plan, subjects)
    return [
        Table(
            name="worker-time",
            title="Worker time per build in a real Airflow",
            note=f"LocalExecutor, {concurrent} concurrent DAG runs, builds of {BUILD_SECONDS:g} s, over HTTPS. CPU: "
            "of the workers and their child processes, one each time a task runs in a worker.",
            columns=("tasks", "worker CPU, s", "ratio to dbt-cloud", "times in a worker"),
            rows=[
                [name, rounds.median(name, "cpu"), rounds.ratio(name, PEER, "cpu"), rounds.median(name, "processes")]
                for name in DAGS
            ],
            targets=[
                Target("worker CPU of start and sensor compared with dbt-cloud", 0.6, rounds.ratio(OURS, PEER, "cpu"))
            ],
        )
    ]


def _run_dag(stack: AirflowStack, dag_id: str, count: int) -> Figures:
    """Trigger concurrent runs of a DAG and return what each of them cost the workers."""
    workers = _workers()
    before = _cpu(workers)
    runs = [stack.client.trigger(dag_id) for _ in range(count)]
    for run_id in runs:
        state = stack.client.wait_for_run(dag_id, run_id)
        if state != "success":
            raise RuntimeError(f"run {run_id} of {dag_id} ended as {state}")
    # The CPU time of a child is added to its worker when the worker has reaped it.
    time.sleep(2)
    events = [event["event"] for run_id in runs for event in stack.client.events(dag_id, run_id)]
    return {"cpu": (_cpu(workers) - before) / count, "processes": events.count("running") / count}


def _workers() -> list[psutil.Process]:
    """Return the worker processes of the LocalExecutor: the scheduler forks nothing else."""
    schedulers = [child for child in psutil.Process().children() if "scheduler" in " ".join(child.cmdline())]
    return [worker for scheduler in schedulers for worker in scheduler.children()]


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:4]) for process in processes)
