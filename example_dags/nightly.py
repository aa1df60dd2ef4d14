"""The nightly chain: start a build, wait for it in the triggerer, download its files, deploy them.

Runs as it stands against the emulator: see "Try it" in the README. To run it against your account, change the
connection ``metakraftwerk_default`` and the names below.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor

# Where the files go: a local folder or any URL that Airflow's object storage takes, such as s3://bucket/dwh.
RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))

with DAG(
    dag_id="metakraftwerk_nightly",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    # [START howto_start_build]
    start_build = StartBuildOperator(
        task_id="start_build",
        project="DEMO_PROJECT",
        releases={"DWH_GROUP": "R1"},
        instances=[
            {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"},
        ],
        description="nightly build, {{ run_id }}",
    )
    # [END howto_start_build]

    # [START howto_build_sensor]
    wait_for_build = BuildSensor(
        task_id="wait_for_build",
        build_id=start_build.output,
        deferrable=True,
        poke_interval=30,
        timeout=4 * 3600,
    )
    # [END howto_build_sensor]

    # [START howto_download_build]
    download_build = DownloadBuildOperator(
        task_id="download_build",
        build_id=start_build.output,
        destination=f"{RESULTS}/{{{{ run_id | replace(':', '-') }}}}",
    )
    # [END howto_download_build]

    # [START howto_build_deployment]
    deploy_build = BuildDeploymentOperator(
        task_id="deploy_build",
        build_id=start_build.output,
        pattern="CORE_DV_HLS",
        deployment="DEPLOY_TO_DEV",
        agent_group="DEV_AGENTS",
    )
    # [END howto_build_deployment]

    start_build >> wait_for_build >> download_build >> deploy_build
