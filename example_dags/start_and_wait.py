"""One task that starts a build and waits for it."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.operators.build import StartBuildOperator

with DAG(
    dag_id="metakraftwerk_start_and_wait",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    StartBuildOperator(
        task_id="build",
        project="DEMO_PROJECT",
        instances=[{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}],
        wait_for_completion=True,
        deferrable=True,
        timeout=3600,
        execution_timeout=timedelta(hours=2),
        retries=2,
    )
