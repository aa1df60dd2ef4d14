"""The nightly chain for several projects, with dynamic task mapping: to add a project, add a name."""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, task_group

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor

RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))
PROJECTS = ["DEMO_PROJECT", "SALES_DWH", "FINANCE_DWH"]

with DAG(
    dag_id="metakraftwerk_several_projects",
    schedule="0 3 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    # [START howto_mapped]
    @task_group
    def build_and_deploy(project: str) -> None:
        """Build, wait, download and deploy one project."""
        start_build = StartBuildOperator(
            task_id="start_build",
            project=project,
            instances=[{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}],
        )
        wait_for_build = BuildSensor(task_id="wait_for_build", build_id=start_build.output, deferrable=True)
        download_build = DownloadBuildOperator(
            task_id="download_build",
            build_id=start_build.output,
            destination=f"{RESULTS}/{{{{ run_id | replace(':', '-') }}}}/{{{{ ti.map_index }}}}",
        )
        deploy_build = BuildDeploymentOperator(
            task_id="deploy_build",
            build_id=start_build.output,
            pattern="CORE_DV_HLS",
            deployment="DEPLOY_TO_DEV",
            agent_group="DEV_AGENTS",
        )
        start_build >> wait_for_build >> download_build >> deploy_build

    build_and_deploy.expand(project=PROJECTS)
    # [END howto_mapped]
