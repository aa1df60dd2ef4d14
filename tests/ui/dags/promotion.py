"""The nightly chain as a task group, with a person who approves the deployment to production."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment

with DAG(dag_id="metakraftwerk_promotion", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
    BuildTaskGroup(
        "warehouse",
        project="SALES_DWH",
        instances=[{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPORT"}],
        deployments=[Deployment("CORE_DV_HLS", "DEPLOY_TO_PROD")],
        approve=["DEPLOY_TO_PROD"],
    )
