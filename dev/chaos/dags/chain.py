"""The nightly chain as chaos runs it: many retries, short pauses, two files, and an instance that the run names.

Twice: with a sensor that waits for the build, and with a `start_build` that waits itself.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor


def chain(dag_id: str, *, wait_for_completion: bool) -> DAG:
    """Return the chain."""
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        # Longer than the server ever holds a request: whoever looks sooner cannot see what is still to come.
        default_args={"retries": 8, "retry_delay": timedelta(seconds=5)},
        params={"instance": Param("AIRPLANE", type="string", description="BROKEN_VIEW for a build that fails")},
        doc_md=__doc__,
    ) as dag:
        start_build = StartBuildOperator(
            task_id="start_build",
            project="DEMO_PROJECT",
            instances=[
                {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "{{ params.instance }}"},
                {"pattern": "CORE_DV_SAT", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE_DETAILS"},
            ],
            description="chaos",
            wait_for_completion=wait_for_completion,
            deferrable=True,
            poll_interval=2,
            timeout=900,
        )
        wait_for_build = BuildSensor(
            task_id="wait_for_build", build_id=start_build.output, deferrable=True, poke_interval=2, timeout=900
        )
        download_build = DownloadBuildOperator(
            task_id="download_build",
            build_id=start_build.output,
            destination=f"{os.environ.get('METAKRAFTWERK_RESULTS', '')}/{{{{ run_id }}}}",
        )
        deploy_build = BuildDeploymentOperator(
            task_id="deploy_build",
            build_id=start_build.output,
            pattern="CORE_DV_HLS",
            deployment="DEPLOY_TO_DEV",
            agent_group="DEV_AGENTS",
            # One at a time: requests that deploy look alike, and chaos must know whose it hits.
            pool="chaos_deployments",
        )
        start_build >> wait_for_build >> download_build >> deploy_build
    return dag


chaos_chain = chain("chaos_chain", wait_for_completion=False)
chaos_chain_in_one = chain("chaos_chain_in_one", wait_for_completion=True)
