"""The nightly chain for several projects, with dynamic task mapping: to add a project, add a name."""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, task_group

from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment

RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))

with DAG(
    dag_id="metakraftwerk_several_projects",
    schedule="0 3 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 2},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:

    @task_group
    def marts(project: str) -> None:
        """Build, download and deploy the data marts of one project."""
        BuildTaskGroup(
            "build",
            project=project,
            instances=InstanceSelector(folder="/MART/**"),
            destination=f"{RESULTS}/{{{{ run_id | replace(':', '-') }}}}/{{{{ ti.map_index }}}}",
            deployments=[Deployment("MART_DIM", "DEPLOY_TO_DEV")],
        )

    marts.expand(project=["DEMO_PROJECT", "SALES_DWH", "FINANCE_DWH"])
