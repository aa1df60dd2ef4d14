"""A DAG file in which a type checker finds nothing: results of other tasks are accepted wherever values are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment
from mkw_airflow_provider.typing import InstanceByName

AIRPLANE: InstanceByName = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


@task
def choose() -> list[dict[str, Any]]:
    return [{"id": 1001}]


with DAG("results"):
    chosen = choose()
    start = StartBuildOperator(
        task_id="start", project=chosen, instances=chosen, releases=chosen, description=chosen, restore=chosen
    )
    StartBuildOperator(task_id="by_id", project_id=chosen, instances=chosen)
    BuildSensor(task_id="wait", build_id=start.output)
    BuildSensor(task_id="deferred", build_id=start.output, deferrable=True)
    download = DownloadBuildOperator(
        task_id="download", build_id=start.output, destination=chosen, patterns=chosen, storage_conn_id=chosen
    )
    BuildDeploymentOperator(
        task_id="by_name",
        build_id=start.output,
        pattern=chosen,
        deployment=chosen,
        agent=chosen,
        if_deployed=chosen,
        manifest=download.output,
    )
    BuildDeploymentOperator(
        task_id="ids", build_id=start.output, pattern_id=chosen, deployment_id=chosen, agent_group_id=chosen
    )

with DAG("values"):
    StartBuildOperator(task_id="names", project="DWH", instances=[AIRPLANE, {"id": 1001}], releases={"GROUP": "R1"})
    StartBuildOperator(task_id="text", project_id="{{ params.id }}", instances="{{ params.instances }}", restore="true")
    StartBuildOperator(task_id="selector", instances=InstanceSelector(pattern=["CORE_*", "MART_*"]), retries=2)
    StartBuildOperator(task_id="dict", instances={"pattern": "CORE_*", "exclude": [{"label": "manual"}]})
    BuildSensor(task_id="wait", build_id="{{ params.id }}", poke_interval=30, mode="reschedule", silent_fail=True)
    BuildSensor(task_id="minutes", build_id=5139, timeout=timedelta(hours=4), max_wait=timedelta(minutes=5))
    DownloadBuildOperator(task_id="download", build_id=5139, destination="/data", patterns=["CORE"], if_empty="skip")
    DownloadBuildOperator(task_id="texts", build_id="{{ params.id }}", destination="/d", patterns="{{ params.p }}")
    BuildDeploymentOperator(task_id="deploy", build_id=5139, pattern_id=808, deployment="DEV", agent_group="ALL")
    group = BuildTaskGroup(
        "nightly",
        instances=InstanceSelector(exclude=[InstanceSelector(folder="/OLD/**")]),
        destination="/data/{{ run_id }}",
        deployments=[Deployment("*", "DEV"), {"pattern": "CORE", "deployment": "PROD", "agent": "a"}],
        only_if_changed=True,
        default_args={"retries": 2},
        tooltip="every night",
    )
    BuildSensor(task_id="after", build_id=group.build_id)
    MetaKraftwerkHook().create_build(project="DWH", instances=[AIRPLANE])
