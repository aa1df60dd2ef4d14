"""The nightly chain as four tasks, to put your own tasks in between: start, wait, download, deploy.

The deployment emits an asset event: the DAG ``metakraftwerk_load_on_asset`` starts after it.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.assets import pattern_asset
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.typing import InstanceByName

RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))
AIRPLANE: InstanceByName = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}
START = pendulum.datetime(2026, 1, 1, tz="UTC")

with DAG("metakraftwerk_four_tasks", schedule=None, start_date=START, default_args={"retries": 2}, doc_md=__doc__):
    start = StartBuildOperator(task_id="start_build", project="DEMO_PROJECT", instances=[AIRPLANE])
    wait = BuildSensor(task_id="wait_for_build", build_id=start.output, deferrable=True, timeout=4 * 3600)
    download = DownloadBuildOperator(
        task_id="download_build", build_id=start.output, destination=f"{RESULTS}/{{{{ run_id | replace(':', '-') }}}}"
    )
    hls = pattern_asset("DEMO_PROJECT", "CORE_DV_HLS")
    deploy = BuildDeploymentOperator(
        task_id="deploy_build",
        build_id=start.output,
        pattern="CORE_DV_HLS",
        deployment="DEPLOY_TO_DEV",
        manifest=download.output,
        outlets=[hls],
    )
    start >> wait >> download >> deploy
