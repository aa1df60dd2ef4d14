"""One build, or one run of dbt Cloud, and the task after it: how long until that starts."""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_3_PLUS

#: Of all DAGs here, in seconds.
INTERVAL = float(os.environ.get("NIGHT_INTERVAL", "30"))
CONNECTION = "night"
SETTINGS: dict[str, Any] = {
    "schedule": None,
    "start_date": pendulum.datetime(2026, 1, 1, tz="UTC"),
    "max_active_runs": 300,
}
BUILD: dict[str, Any] = {
    "project": "DEMO_PROJECT",
    "instances": [{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}],
    "metakraftwerk_conn_id": CONNECTION,
}


@task
def next_task() -> None:
    """Do nothing: only its start counts."""


with DAG("night_one_task", **SETTINGS):
    wait = StartBuildOperator(
        task_id="wait", wait_for_completion=True, deferrable=True, poll_interval=INTERVAL, **BUILD
    )
    wait >> next_task()

if AIRFLOW_V_3_3_PLUS:
    with DAG("night_in_triggerer", **SETTINGS):
        start = StartBuildOperator(task_id="start", **BUILD)
        sensor = BuildSensor(
            task_id="wait",
            build_id=start.output,
            deferrable=True,
            start_from_trigger=True,
            end_from_trigger=True,
            poke_interval=INTERVAL,
            metakraftwerk_conn_id=CONNECTION,
        )
        sensor >> next_task()

try:
    from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    # It needs Python 3.11.
    pass
else:
    with DAG("night_dbt_cloud", **SETTINGS):
        run = DbtCloudRunJobOperator(
            task_id="wait",
            job_id=3,
            account_id=1,
            deferrable=True,
            check_interval=int(INTERVAL),
            dbt_cloud_conn_id="dbt_cloud_default",
        )
        run >> next_task()
