"""A dbt Cloud run that is waited for in the triggerer: what the worker time of a build is compared with."""

from __future__ import annotations

import pendulum
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator  # type: ignore[import-not-found,unused-ignore]
from airflow.sdk import DAG

with DAG("dbt_cloud", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), max_active_runs=100):
    DbtCloudRunJobOperator(task_id="run", job_id=3, account_id=1, deferrable=True, check_interval=5)
