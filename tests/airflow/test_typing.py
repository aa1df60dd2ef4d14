"""A DAG's author who runs mypy: results of other tasks are taken where values are, and mistakes are still found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor


@task
def choose() -> list[dict[str, Any]]:
    return [{"id": 1001}]


"""
RIGHT = """
with DAG("results"):
    chosen = choose()
    start = StartBuildOperator(
        task_id="start", project=chosen, instances=chosen, releases=chosen, description=chosen, restore=chosen
    )
    StartBuildOperator(task_id="by_id", project_id=chosen, instances=chosen)
    BuildSensor(task_id="wait", build_id=start.output)
    BuildSensor(task_id="wait", build_id=start.output, deferrable=True)
    DownloadBuildOperator(
        task_id="download", build_id=start.output, destination=chosen, patterns=chosen, storage_conn_id=chosen
    )
    BuildDeploymentOperator(
        task_id="by_name", build_id=start.output, pattern=chosen, deployment=chosen, agent=chosen, if_deployed=chosen
    )
    BuildDeploymentOperator(
        task_id="by_id", build_id=start.output, pattern_id=chosen, deployment_id=chosen, agent_group_id=chosen
    )

with DAG("values"):
    StartBuildOperator(task_id="start", project="DWH", instances=[{"id": 1001}], releases={"GROUP": "R1"})
    StartBuildOperator(task_id="text", project_id="{{ params.id }}", instances="{{ params.instances }}", restore="true")
    BuildSensor(task_id="wait", build_id="{{ params.id }}", poke_interval=30)
    BuildSensor(task_id="wait", build_id=5139)
    DownloadBuildOperator(task_id="download", build_id=5139, destination="/data", patterns=["CORE"])
    DownloadBuildOperator(task_id="text", build_id="{{ params.id }}", destination="/data", patterns="{{ params.p }}")
    BuildDeploymentOperator(task_id="deploy", build_id=5139, pattern_id=808, deployment="DEV", agent_group="ALL")
"""
WRONG = """
BuildSensor(task_id="wait", build_id=[5139])
StartBuildOperator(task_id="start", project="DWH", instances=1001)
StartBuildOperator(task_id="start", project=["DWH"], instances=[{"id": 1001}])
DownloadBuildOperator(task_id="download", build_id=[5139], destination="/data")
DownloadBuildOperator(task_id="download", build_id=5139, destination=None)
BuildDeploymentOperator(task_id="deploy", build_id=None, pattern="CORE", deployment="DEV")
"""


def complaints(repository: Path, dag: Path) -> list[str]:
    """Return what mypy says of a DAG file under the project's own settings, which are strict."""
    pytest.importorskip("mypy")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", str(dag)], cwd=repository, capture_output=True, text=True, check=False
    )
    assert ran.returncode in (0, 1), ran.stderr
    return re.findall(r'error: (Argument "\w+" to "\w+"|.*)', ran.stdout)


def test_a_result_of_another_task_is_taken_wherever_a_value_is(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_text(HEAD + RIGHT)
    assert complaints(repository, tmp_path / "dag.py") == []


def test_a_value_of_another_kind_is_not(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_text(HEAD + WRONG)
    assert complaints(repository, tmp_path / "dag.py") == [
        'Argument "build_id" to "BuildSensor"',
        'Argument "instances" to "StartBuildOperator"',
        'Argument "project" to "StartBuildOperator"',
        'Argument "build_id" to "DownloadBuildOperator"',
        'Argument "destination" to "DownloadBuildOperator"',
        'Argument "build_id" to "BuildDeploymentOperator"',
    ]
