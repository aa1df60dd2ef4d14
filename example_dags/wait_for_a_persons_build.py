"""Wait for a build that a person started in the web application, then fetch its files.

Trigger it with the build's number: ``{"build_id": 5139}``.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from mkw_airflow_provider.operators.build import DownloadBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor

RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))

with DAG(
    dag_id="metakraftwerk_wait_for_a_persons_build",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    params={"build_id": Param(type="integer", minimum=1, description="Number of the build in the web application")},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    wait = BuildSensor(
        task_id="wait_for_build", build_id="{{ params.build_id }}", deferrable=True, soft_fail=True, timeout=8 * 3600
    )
    download = DownloadBuildOperator(
        task_id="download_build",
        build_id="{{ params.build_id }}",
        destination=f"{RESULTS}/build-{{{{ params.build_id }}}}",
    )

    wait >> download
