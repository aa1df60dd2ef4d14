"""The nightly chain of one build, as single runs and mapped over many builds; with waits that start in a worker or not.

The description of a build names its chain: the run, and the map index of a mapped chain.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task, task_group

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_3_PLUS

RESULTS = Path(os.environ.get("METAKRAFTWERK_RESULTS", ""))
SETTINGS: dict[str, Any] = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "default_args": {"retries": 8, "retry_delay": timedelta(seconds=5)},
    "max_active_runs": 300,
}


def chain(name: str, *, poke_interval: float = 30.0, in_triggerer: bool = False) -> None:
    """Add the tasks of one chain to the DAG.

    :param name: template of the chain's name.
    :param in_triggerer: whether the wait starts and ends in the triggerer, without a worker.
    """
    start_build = StartBuildOperator(
        task_id="start_build",
        project="DEMO_PROJECT",
        instances=[{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}],
        description=name,
    )
    wait_for_build = BuildSensor(
        task_id="wait_for_build",
        build_id=start_build.output,
        deferrable=True,
        poke_interval=poke_interval,
        start_from_trigger=in_triggerer,
        end_from_trigger=in_triggerer,
        timeout=3600,
    )
    download_build = DownloadBuildOperator(
        task_id="download_build", build_id=start_build.output, destination=f"{RESULTS}/{name}"
    )
    deploy_build = BuildDeploymentOperator(
        task_id="deploy_build",
        build_id=start_build.output,
        pattern="CORE_DV_HLS",
        deployment="DEPLOY_TO_DEV",
        agent_group="DEV_AGENTS",
    )
    start_build >> wait_for_build >> download_build >> deploy_build


def mapped(dag_id: str, **options: Any) -> DAG:
    """Return a DAG with as many chains as its run says."""
    with DAG(dag_id, params={"count": Param(10, type="integer")}, **SETTINGS) as dag:

        @task
        def numbers(params: dict[str, Any]) -> list[int]:
            return list(range(params["count"]))

        @task_group(prefix_group_id=False)
        def one_chain(number: int) -> None:
            chain("{{ run_id }}_{{ ti.map_index }}", **options)

        one_chain.expand(number=numbers())  # type: ignore[call-arg, misc]
    return dag


with DAG("cluster_chain", **SETTINGS) as cluster_chain:
    chain("{{ run_id }}")

if AIRFLOW_V_3_3_PLUS:
    with DAG("cluster_chain_in_triggerer", **SETTINGS) as cluster_chain_in_triggerer:
        chain("{{ run_id }}", in_triggerer=True)

cluster_mapped = mapped("cluster_mapped")
# Polls often, so that a report can say when waits continue after a fault.
cluster_faults = mapped("cluster_faults", poke_interval=5.0)
