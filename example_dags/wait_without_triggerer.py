"""Start a build and wait for it without a triggerer: the sensor leaves the worker between two polls."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor

with DAG(
    dag_id="metakraftwerk_wait_without_triggerer",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"retries": 2},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    start = StartBuildOperator(task_id="start_build", project="DEMO_PROJECT", instances=[{"id": 1001}])

    BuildSensor(
        task_id="wait_for_build",
        build_id=start.output,
        deferrable=False,
        mode="reschedule",
        poke_interval=60,
        timeout=4 * 3600,
    )
