"""The nightly chain as chaos runs it: many retries, short pauses, two files, two deployments.

It exists twice: with a sensor that waits for the build, and with a `start_build` that waits itself.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor

RESULTS = Path(os.environ.get("METAKRAFTWERK_RESULTS", ""))
#: Chaos edits the number of retries while runs are in progress.
RETRIES_FILE = RESULTS.parent / "retries"


def chain(dag_id: str, *, wait_for_completion: bool) -> DAG:
    """Return the chain."""
    retries = int(RETRIES_FILE.read_text()) if RETRIES_FILE.exists() else 8
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        # Longer than the server ever holds a request: an earlier retry could not see what is still to come.
        default_args={"retries": retries, "retry_delay": timedelta(seconds=5)},
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
            # Tells chaos whose build it is, even if the server shortens the description.
            description="{{ run_id }}",
            wait_for_completion=wait_for_completion,
            deferrable=True,
            poll_interval=2,
            timeout=900,
        )
        wait_for_build = BuildSensor(
            task_id="wait_for_build", build_id=start_build.output, deferrable=True, poke_interval=2, timeout=900
        )
        download_build = DownloadBuildOperator(
            task_id="download_build", build_id=start_build.output, destination=f"{RESULTS}/{{{{ run_id }}}}"
        )
        # One deployment at a time: requests to deploy look alike, and chaos must know whose request it hits.
        deploy_build = BuildDeploymentOperator(
            task_id="deploy_build",
            build_id=start_build.output,
            pattern="CORE_DV_HLS",
            deployment="DEPLOY_TO_DEV",
            agent_group="DEV_AGENTS",
            pool="chaos_deployments",
        )
        deploy_to_agent = BuildDeploymentOperator(
            task_id="deploy_to_agent",
            build_id=start_build.output,
            pattern="CORE_DV_HLS",
            deployment="DEPLOY_TO_DEV",
            agent="dev_md_agent",
            pool="chaos_deployments",
        )
        start_build >> wait_for_build >> download_build >> deploy_build >> deploy_to_agent
    return dag


chaos_chain = chain("chaos_chain", wait_for_completion=False)
chaos_chain_in_one = chain("chaos_chain_in_one", wait_for_completion=True)
