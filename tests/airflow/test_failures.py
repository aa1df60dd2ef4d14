"""What the log of a failed task shows: the sentence that matters, and one frame of this package."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import BuildFailedError, ConnectionFailedError, NotFoundError
from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import context_of

FOLDER = "/nowhere"


def start() -> MetaKraftwerkOperator:
    return StartBuildOperator(task_id="a", project="DEMO_PROJECT", instances=[{"id": 1}], wait_for_completion=True)


def sense() -> MetaKraftwerkOperator:
    return BuildSensor(task_id="a", build_id=5139)


def download() -> MetaKraftwerkOperator:
    return DownloadBuildOperator(task_id="a", build_id=5139, destination=FOLDER)


def deploy() -> MetaKraftwerkOperator:
    return BuildDeploymentOperator(task_id="a", build_id=5139, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV")


def failure_of(operator: MetaKraftwerkOperator) -> BaseException:
    with pytest.raises(Exception) as caught:  # which one is asserted by the caller
        operator.execute(context_of(operator))
    return caught.value


def own_frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.name for frame in frames if "/mkw_airflow_provider/" in frame.filename]


@pytest.mark.parametrize("make", [start, sense, download, deploy])
@pytest.mark.parametrize("outage", [True, False], ids=["may-pass", "final"])
def test_failure_shows_one_frame(
    emulator: Emulator, connect: Connect, log: Log, make: Callable[[], MetaKraftwerkOperator], outage: bool
) -> None:
    if outage:
        connect({"port": 1}, outage_tolerance=0.1)
    error = failure_of(make())
    assert isinstance(error, ConnectionFailedError if outage else AirflowFailException)
    assert own_frames(error) == ["execute"]
    assert (error.__cause__, error.__suppress_context__) == (None, True)
    assert str(error).partition(".")[0] in log.lines[-1]


def test_failed_build_is_the_cause(emulator: Emulator, log: Log) -> None:
    emulator.set(build_seconds=0)
    emulator.set_instance(1001, outcome="FAILED")
    emulator.start_build()
    error = failure_of(sense())
    assert isinstance(error, AirflowFailException)
    assert isinstance(error.__cause__, BuildFailedError)
    assert error.__cause__.__traceback__ is None
    assert own_frames(error) == ["execute"]
    assert log.lines[-1].startswith("Build 5139 ended FAILED")


def test_resumed_task_shows_one_frame(emulator: Emulator, log: Log) -> None:
    emulator.set(build_seconds=60)
    emulator.start_build()
    operator = sense()
    with pytest.raises(Exception) as caught:
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, context_of(operator))
    assert own_frames(caught.value) == ["resume_execution"]
    assert "still running" in log.lines[-1]


def test_debug_log_has_the_full_chain(emulator: Emulator, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    failure_of(deploy())
    errors: list[Any] = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in errors] == [NotFoundError]
