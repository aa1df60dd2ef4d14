"""What a task attaches to the asset events of its outlets: at its end only, and after a deferral too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mkw_airflow_provider.assets import pattern_asset
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.conftest import AIRPLANE, Connect
from tests.kit.airflow_names import OutletEventAccessors
from tests.kit.imports import loaded
from tests.kit.tasks import context_of, deferral, only_event

ASSET = pattern_asset("DEMO_PROJECT", "CORE_DV_HLS")


class Task:
    """A task with an outlet."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.events = OutletEventAccessors()
        self.context = {**context_of(operator), "outlet_events": self.events}

    @property
    def extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = self.events[ASSET].extra
        return extra

    def run(self) -> Any:
        return self.operator.execute(self.context)


def start(**arguments: Any) -> Task:
    made = {"project": "DEMO_PROJECT", "instances": [AIRPLANE], "outlets": [ASSET], **arguments}
    return Task(StartBuildOperator(task_id="task", **made))


@pytest.fixture
def finished(emulator: Emulator, connect: Connect) -> int:
    """A build that is finished."""
    number: int = emulator.start_build()["id"]
    emulator.end_build(number, "FINISHED")
    return number


def test_start_publishes_build_and_status(emulator: Emulator, connect: Connect) -> None:
    task = start()
    build_id = task.run()
    assert task.extra == {"build_id": build_id, "status": "BUILDING"}


def test_start_that_waits_publishes_the_end(emulator: Emulator, connect: Connect) -> None:
    task = start(wait_for_completion=True)
    build_id = task.run()
    assert task.extra == {"build_id": build_id, "status": "FINISHED"}


@pytest.mark.parametrize(
    "mode",
    [
        "poke",
        pytest.param(
            "reschedule",
            marks=pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 needs its database to reschedule"),
        ),
    ],
)
def test_sensor_publishes_build_and_end(finished: int, mode: str) -> None:
    task = Task(BuildSensor(task_id="task", build_id=finished, mode=mode, outlets=[ASSET]))
    task.run()
    assert task.extra == {"build_id": finished, "status": "FINISHED"}


@pytest.mark.parametrize("kind", ["start", "sensor"])
def test_deferred_wait_publishes_at_its_end(emulator: Emulator, connect: Connect, no_delays: None, kind: str) -> None:
    emulator.set(build_seconds=600)
    build_id = emulator.start_build()["id"]

    def make() -> Task:
        if kind == "start":
            return start(wait_for_completion=True, deferrable=True)
        return Task(BuildSensor(task_id="task", build_id=build_id, deferrable=True, outlets=[ASSET]))

    before = make()
    deferred = deferral(before.operator, before.context)
    assert before.extra == {}
    build_id = deferred.trigger.build_id
    emulator.end_build(build_id, "FINISHED")
    event = asyncio.run(only_event(deferred.trigger))
    after = make()
    after.operator.resume_execution("execute_complete", {"event": event}, after.context)
    assert after.extra == {"build_id": build_id, "status": "FINISHED"}


def test_download_publishes_its_files(finished: int, tmp_path: Path) -> None:
    task = Task(DownloadBuildOperator(task_id="task", build_id=finished, destination=str(tmp_path), outlets=[ASSET]))
    manifest = task.run()
    assert task.extra["files"] == manifest["files"]
    assert (task.extra["build_id"], task.extra["content"]) == (finished, manifest["content"])


def test_deployment_publishes_its_files(finished: int) -> None:
    mine = {"pattern": "CORE_DV_HLS", "name": "a.zip", "content": "1"}
    manifest = {"build_id": finished, "files": [mine, {"pattern": "OTHER", "name": "b.zip", "content": "2"}]}
    target = {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
    task = Task(
        BuildDeploymentOperator(task_id="task", build_id=finished, manifest=manifest, outlets=[ASSET], **target)
    )
    number = task.run()
    assert task.extra == {"build_id": finished, "build_deployment_id": number, "files": [mine], **target}


def test_failed_wait_publishes_nothing(emulator: Emulator, connect: Connect) -> None:
    build_id = emulator.start_build()["id"]
    emulator.end_build(build_id, "FAILED")
    task = Task(BuildSensor(task_id="task", build_id=build_id, outlets=[ASSET]))
    with pytest.raises(Exception, match="FAILED"):
        task.run()
    assert task.extra == {}


def test_other_outlets_are_unchanged(finished: int) -> None:
    operator = BuildSensor(task_id="task", build_id=finished)
    operator.outlets = [object(), ASSET]
    task = Task(operator)
    task.run()
    assert task.extra["build_id"] == finished


def test_nothing_of_openlineage_is_imported() -> None:
    mine = [f"mkw_airflow_provider.operators.{name}" for name in ("build", "deployment", "base")]
    names = loaded(mine, after="from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator")
    assert not any("openlineage" in name or name.endswith("operators.lineage") for name in names)
