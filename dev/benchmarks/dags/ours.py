"""A build that is waited for in the triggerer, by a sensor and by the operator itself."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.typing import InstanceByName

START = pendulum.datetime(2026, 1, 1, tz="UTC")
INSTANCES: list[InstanceByName] = [{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}]

with DAG("metakraftwerk_start_and_sensor", schedule=None, start_date=START, max_active_runs=100):
    start = StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=INSTANCES)
    BuildSensor(task_id="wait", build_id=start.output, deferrable=True, poke_interval=5)

with DAG("metakraftwerk_one_task", schedule=None, start_date=START, max_active_runs=100):
    StartBuildOperator(
        task_id="run",
        project="DEMO_PROJECT",
        instances=INSTANCES,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=5,
    )
