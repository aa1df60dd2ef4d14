"""The nightly chain of one build in one process: start, sensor with its trigger, download, deployment."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.typing import InstanceByName


def run_deferrable(operator: Any) -> Any:
    """Run an operator as Airflow does: the task, its trigger if it defers, the task again."""
    try:
        return operator.execute({})
    except TaskDeferred as deferral:
        event = asyncio.run(_event(deferral.trigger))
        return getattr(operator, deferral.method_name)({}, event=event, **(deferral.kwargs or {}))


async def _event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload
    raise RuntimeError("the trigger ended without an event")


def run(folder: str) -> int:
    """Run the chain and return how many files were downloaded.

    :param folder: for the files.
    """
    instance: InstanceByName = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}
    build_id = StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=[instance]).execute({})
    run_deferrable(BuildSensor(task_id="wait", build_id=build_id, deferrable=True, poke_interval=30))
    manifest = DownloadBuildOperator(task_id="download", build_id=build_id, destination=folder).execute({})
    BuildDeploymentOperator(
        task_id="deploy", build_id=build_id, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV"
    ).execute({})
    return len(manifest["files"])


def main() -> None:
    """Run the job on standard input."""
    files = run(json.load(sys.stdin)["folder"])
    sys.stdout.write("\n" + json.dumps({"files": files}))


if __name__ == "__main__":
    main()
