"""A DAG file with mistakes that a type checker must report: one in each line that is marked."""

from __future__ import annotations

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment

BuildSensor(task_id="wait", build_id=[5139])  # mistake
BuildSensor(task_id="wait", build_id=5139, mode="poll")  # mistake
BuildSensor(task_id="wait", build_id=5139, poke_intervall=30)  # mistake
BuildSensor(task_id="wait", build_id=5139, soft_fail="yes")  # mistake
BuildSensor(build_id=5139)  # mistake
StartBuildOperator(task_id="start", project="DWH", instances=1001)  # mistake
StartBuildOperator(task_id="start", project="DWH", instances=[1001])  # mistake
StartBuildOperator(task_id="start", project="DWH", instances=[{"id": "AIRPLANE"}])  # mistake
StartBuildOperator(task_id="start", project="DWH", instances=[{"pattern": "P", "folder": "/"}])  # mistake
StartBuildOperator(task_id="start", project="DWH", instances=[{"pattern": "P", "folder": "/", "nmae": "N"}])  # mistake
StartBuildOperator(task_id="start", project="DWH", instances={"patern": "CORE_*"})  # mistake
StartBuildOperator(task_id="start", project=["DWH"], instances=[{"id": 1001}])  # mistake
StartBuildOperator(task_id="start", instances=[{"id": 1001}], on_clear="adopt")  # mistake
StartBuildOperator(task_id="start", instances=[{"id": 1001}], if_empty="ignore")  # mistake
StartBuildOperator(task_id="start", instances=[{"id": 1001}], retrys=2)  # mistake
StartBuildOperator(task_id="start", instances=InstanceSelector(patterns="CORE_*"))  # mistake
StartBuildOperator(task_id="start", instances=InstanceSelector(if_empty="ignore"))  # mistake
DownloadBuildOperator(task_id="download", build_id=[5139], destination="/data")  # mistake
DownloadBuildOperator(task_id="download", build_id=5139, destination=None)  # mistake
DownloadBuildOperator(task_id="download", build_id=5139)  # mistake
BuildDeploymentOperator(task_id="deploy", build_id=None, pattern="CORE", deployment="DEV")  # mistake
BuildDeploymentOperator(task_id="deploy", build_id=1, pattern="CORE", deployment="DEV", if_deployed="no")  # mistake
BuildDeploymentOperator(task_id="deploy", build_id=1, pattern="CORE", deployment="DEV", if_unchanged="no")  # mistake
BuildTaskGroup("group", instances=InstanceSelector(), deployments=[("CORE", "DEV")])  # mistake
BuildTaskGroup("group", instances=InstanceSelector(), deployments=[{"pattern": "CORE", "stage": "DEV"}])  # mistake
BuildTaskGroup("group", instances=InstanceSelector(), deployments=[Deployment("CORE")])  # mistake
BuildTaskGroup("group", instances=InstanceSelector(), deployment=[])  # mistake
