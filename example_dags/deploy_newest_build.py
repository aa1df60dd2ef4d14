"""Deploy the newest build of a project to the test environment when someone triggers the DAG."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from mkw_airflow_provider.hooks.metakraftwerk import BuildStatus, MetaKraftwerkHook
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator

with DAG(
    dag_id="metakraftwerk_deploy_newest_build",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:

    @task
    def newest_build() -> int:
        """Return the id of the newest FINISHED build."""
        builds = MetaKraftwerkHook().find_builds(project="DEMO_PROJECT", pattern="CORE_DV_HLS")
        return max(build.id for build in builds if build.status == BuildStatus.FINISHED)

    BuildDeploymentOperator(
        task_id="deploy_build",
        build_id=newest_build(),
        pattern="CORE_DV_HLS",
        deployment="DEPLOY_TO_TEST",
        agent="dev_md_agent",
        if_deployed="deploy",
    )
