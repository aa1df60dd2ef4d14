"""Deploy each build that somebody starts in the web application, as soon as it is finished.

A burst of builds can start one run only, with one event. So each run deploys every build that was reported and has not
been deployed yet. Needs Airflow 3.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.triggers.events import BuildFinishedTrigger

NAME, PATTERN, DEPLOYMENT = "demo_project_builds", "CORE_DV_HLS", "DEPLOY_TO_DEV"
finished = BuildFinishedTrigger(asset=NAME, project="DEMO_PROJECT", pattern=PATTERN, poll_interval=10)
builds = Asset(NAME, watchers=[AssetWatcher(name=NAME, trigger=finished)])

with DAG(
    dag_id="metakraftwerk_deploy_persons_build",
    schedule=[builds],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:

    @task(inlets=[builds])
    def find_new_builds(inlet_events: Any = None) -> list[int]:
        """Return the reported builds that are not deployed yet."""
        reported = {event.extra["payload"]["id"] for event in inlet_events[builds][-100:]}
        deployed = MetaKraftwerkHook().find_build_deployments(pattern=PATTERN, deployment=DEPLOYMENT)
        return sorted(reported - {deployment.build_id for deployment in deployed})

    BuildDeploymentOperator.partial(task_id="deploy_build", pattern=PATTERN, deployment=DEPLOYMENT).expand(
        build_id=find_new_builds()
    )
