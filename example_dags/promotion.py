"""Promotion: the build goes to dev and test by itself, and to production when a person has approved it.

Open the run in Airflow, choose *Required Actions* and approve or reject. Needs Airflow 3.1.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment

with DAG(
    dag_id="metakraftwerk_promotion",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"retries": 2},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    BuildTaskGroup(
        "release",
        project="DEMO_PROJECT",
        instances=InstanceSelector(pattern="CORE_DV_HLS", folder="/BUSINESS_VAULT/CRM"),
        releases={"DWH_GROUP": "R1"},
        deployments=[Deployment("CORE_DV_HLS", f"DEPLOY_TO_{stage}") for stage in ("DEV", "TEST", "PROD")],
        approve=["DEPLOY_TO_PROD"],
    )
