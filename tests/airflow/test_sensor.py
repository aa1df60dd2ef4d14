"""BuildSensor: a build that somebody else started, and the arguments that every Airflow sensor has."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import BuildCanceledError, BuildFailedError, NotFoundError, ProtocolError
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import AirflowRescheduleException, context_of, without_times

BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"


@pytest.fixture(autouse=True)
def _manual_build(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=60)
    emulator.start_build(description="started by hand")


def _watch(**arguments: Any) -> BuildSensor:
    return BuildSensor(**{"task_id": "watch", "build_id": BUILD, "poke_interval": 0.05, **arguments})


class TestResult:
    @pytest.mark.parametrize("deferrable", [False, True])
    @pytest.mark.parametrize("build_id", [BUILD, str(BUILD)])
    def test_is_the_finished_build_as_json(self, emulator: Emulator, build_id: Any, deferrable: bool) -> None:
        emulator.end_build(BUILD, "FINISHED")
        build = _watch(build_id=build_id, deferrable=deferrable).execute({})
        assert json.loads(json.dumps(build)) == build
        assert build["id"] == BUILD
        assert build["status"] == "FINISHED"
        assert build["description"] == "started by hand"
        assert [download["pattern"] for download in build["downloads"]] == ["CORE_DV_HLS"]

    def test_only_the_build_url_is_pushed(self, emulator: Emulator) -> None:
        emulator.end_build(BUILD, "FINISHED")
        context = context_of(_watch())
        _watch().execute(context)
        assert context["ti"].xcom == {"build_url": emulator.url}

    @pytest.mark.parametrize(("status", "cause"), [("FAILED", BuildFailedError), ("CANCELED", BuildCanceledError)])
    @pytest.mark.parametrize("deferrable", [False, True])
    def test_failed_build_is_a_final_failure(
        self, emulator: Emulator, status: str, cause: type[Exception], deferrable: bool
    ) -> None:
        emulator.end_build(BUILD, status, "no space left")
        with pytest.raises(AirflowFailException, match=r"no space left\. A retry cannot change that") as raised:
            _watch(deferrable=deferrable).execute({})
        assert isinstance(raised.value.__cause__, cause)

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_unknown_build_is_the_servers_error(self, emulator: Emulator, deferrable: bool) -> None:
        with pytest.raises(AirflowFailException, match=r"GET /api/v1/builds/17 .* 404: No record found") as raised:
            _watch(build_id=17, deferrable=deferrable).execute({})
        assert isinstance(raised.value.__context__, NotFoundError)
        assert len(emulator.requests("GET", "/api/v1/builds/17")) == 1


class TestWaiting:
    def test_ended_build_is_not_a_timeout(self, emulator: Emulator) -> None:
        """Status first, deadline second."""
        emulator.end_build(BUILD, "FINISHED")
        assert _watch(timeout=0.001).execute({})["status"] == "FINISHED"

    def test_tiny_timeout_still_allows_a_poll(self, emulator: Emulator) -> None:
        with pytest.raises(AirflowSensorTimeout, match="last seen BUILDING"):
            _watch(timeout=0.001).execute({})
        assert len(emulator.requests("GET", PATH)) == 2

    def test_polls_until_the_build_ends(self, emulator: Emulator, log: Log) -> None:
        log.once(f"Build {BUILD} is BUILDING", lambda: emulator.end_build(BUILD, "FINISHED"))
        assert _watch().execute({})["status"] == "FINISHED"
        assert len(emulator.requests("GET", PATH)) == 3
        assert [line.split(",")[0].split(" after")[0] for line in log.lines[1:]] == [
            f"Build {BUILD} is BUILDING",
            f"Build {BUILD} is FINISHED",
            f"Build {BUILD} ended FINISHED",
        ]

    def test_timeout_tells_that_the_build_is_running(self, emulator: Emulator, log: Log) -> None:
        with pytest.raises(AirflowSensorTimeout) as raised:
            _watch(timeout=0.1).execute({})
        assert str(raised.value).startswith(f"Build {BUILD} did not end within `timeout`")
        assert str(raised.value).endswith("still running: the API cannot cancel builds. Clear this task to wait on.")
        assert log.lines[-1] == str(raised.value)

    def test_contradictory_options_are_refused(self) -> None:
        with pytest.raises((ValueError, AirflowException), match="soft_fail and never_fail are mutually exclusive"):
            _watch(soft_fail=True, never_fail=True)

    def test_kill_logs_that_the_build_is_running(self, log: Log) -> None:
        task = _watch(deferrable=True)
        with pytest.raises(TaskDeferred):
            task.execute({})
        task.on_kill()
        assert log.warnings[-1] == f"Killed. Build {BUILD} is still running, because the API cannot cancel builds."


@pytest.mark.skipif(airflow_version.startswith("2."), reason="Airflow 2 asks its database when the wait began")
class TestReschedule:
    """``mode="reschedule"``: one poll in a worker, which is then free until the next one."""

    def _poll(self, *, began: Any = timedelta(0), **arguments: Any) -> Any:
        task = _watch(mode="reschedule", **{"poke_interval": 60, "timeout": 600, **arguments})
        return task.execute(context_of(task, start_date=datetime.now(timezone.utc) - began))

    def test_running_build_frees_the_worker(self, emulator: Emulator, log: Log) -> None:
        with pytest.raises(AirflowRescheduleException) as raised:
            self._poll()
        pause = raised.value.reschedule_date - datetime.now(timezone.utc)
        assert timedelta(seconds=50) < pause <= timedelta(seconds=60)
        assert len(emulator.requests("GET", PATH)) == 1
        assert [without_times(line) for line in log.lines[1:]] == [
            f"Build {BUILD} is BUILDING, N % after N s (building AIRPLANE (1 of 1) ...)."
        ]

    @pytest.mark.parametrize("start", ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
    def test_implausible_age_is_not_logged(self, emulator: Emulator, log: Log, start: str) -> None:
        emulator.fault("status", status=200, body={"id": BUILD, "status": "BUILDING", "build_start": start}, path=PATH)
        with pytest.raises(AirflowRescheduleException):
            self._poll()
        assert log.lines[1:] == [f"Build {BUILD} is BUILDING."]

    def test_finished_build_is_the_result(self, emulator: Emulator, log: Log) -> None:
        emulator.end_build(BUILD, "FINISHED")
        assert self._poll()["status"] == "FINISHED"
        assert log.lines[-1].startswith(f"Build {BUILD} ended FINISHED")
        assert log.lines[-1] not in log.lines[:-1]

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
    def test_failed_build_fails_the_task(self, emulator: Emulator, status: str) -> None:
        emulator.end_build(BUILD, status, "the reason")
        with pytest.raises(AirflowFailException, match="the reason"):
            self._poll()

    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    def test_failed_build_skips_with_the_option(self, emulator: Emulator, option: str) -> None:
        emulator.end_build(BUILD, "FAILED", "the reason")
        with pytest.raises(AirflowSkipException, match=f"Skipping because {option} is set: .* the reason"):
            self._poll(**{option: True})

    def test_timeout_is_checked_after_a_poll(self, log: Log) -> None:
        with pytest.raises(AirflowSensorTimeout, match=r"\(last seen BUILDING, \d+ %\).*still running"):
            self._poll(began=timedelta(hours=1))
        assert "still running" in log.lines[-1]

    def test_finished_build_wins_over_the_timeout(self, emulator: Emulator) -> None:
        emulator.end_build(BUILD, "FINISHED")
        assert self._poll(began=timedelta(hours=1))["id"] == BUILD

    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    def test_timeout_skips_with_the_option(self, log: Log, option: str) -> None:
        with pytest.raises(AirflowSkipException, match="still running"):
            self._poll(began=timedelta(hours=1), **{option: True})
        assert "still running" in log.lines[-1]

    def test_unknown_status_of_an_ended_build_fails(self, emulator: Emulator) -> None:
        body = {"id": BUILD, "status": "ARCHIVED", "build_end": "2026-11-22T02:00:00Z"}
        emulator.fault("status", status=200, body=body, path=PATH)
        with pytest.raises(
            ProtocolError, match=f"build {BUILD} has the status 'ARCHIVED', which the API does not document"
        ):
            self._poll()

    def test_unknown_status_is_polled_again(self, emulator: Emulator) -> None:
        emulator.fault("status", status=200, body={"id": BUILD, "status": "PAUSED"}, path=PATH)
        with pytest.raises(AirflowRescheduleException):
            self._poll()

    def test_silent_fail_polls_again_later(self, emulator: Emulator, connect: Connect) -> None:
        emulator.fault("status", status=500, path=PATH, times=None)
        connect(outage_tolerance=0)
        with pytest.raises(AirflowRescheduleException):
            self._poll(silent_fail=True)

    def test_deferrable_wins(self) -> None:
        with pytest.raises(TaskDeferred):
            self._poll(deferrable=True)
