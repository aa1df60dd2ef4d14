"""What a deferred task hands to Airflow, and what it does when it comes back."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import BuildTimeoutError, MetaKraftwerkError, ProtocolError
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import TaskDeferralError, TaskInstance, context_of, deferral

BUILD = 5139
PATIENCE = {"connect_timeout": 2, "read_timeout": 3, "outage_tolerance": 100}
#: How much later than its own deadline the framework may give a wait up: the longest last look and a minute.
GRACE = 2 + 3 + 100 + 60


@pytest.fixture(autouse=True)
def _a_build_that_lasts(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=60)
    connect(**PATIENCE)


def _operator(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(
        task_id="start",
        project="DEMO_PROJECT",
        instances=[AIRPLANE],
        wait_for_completion=True,
        deferrable=True,
        **arguments,
    )


def _sensor(**arguments: Any) -> BuildSensor:
    return BuildSensor(task_id="watch", build_id=BUILD, deferrable=True, **arguments)


@pytest.fixture(params=[_operator, _sensor], ids=["operator", "sensor"])
def make(request: pytest.FixtureRequest, emulator: Emulator) -> Any:
    """An operator that starts build 5139 and waits for it, and a sensor for it."""
    if request.param is _sensor:
        emulator.start_build()
    return request.param


def _deadline(deferred: TaskDeferred) -> float:
    assert isinstance(deferred.trigger, BuildTrigger)
    assert deferred.trigger.deadline is not None
    return deferred.trigger.deadline


class TestBeforeItDefers:
    def test_it_looks_once(self, make: Any, emulator: Emulator, log: Log) -> None:
        task = make()
        deferral(task, context_of(task))
        assert len(emulator.requests("GET", f"/api/v1/builds/{BUILD}")) == 1
        assert log.lines[-1] == f"Waiting for build {BUILD} in the triggerer."

    def test_a_build_that_has_ended_needs_no_triggerer(self, make: Any, emulator: Emulator) -> None:
        emulator.reset()
        emulator.set(build_seconds=0)
        if make is _sensor:
            emulator.start_build()
        task = make()
        result = task.execute(context_of(task))
        assert (result if make is _operator else result["id"]) == BUILD
        assert len(emulator.requests("GET", f"/api/v1/builds/{BUILD}")) == 1


class TestTheTrigger:
    def test_gets_ids_and_numbers_only(self, make: Any) -> None:
        task = make(timeout=600)
        deferred = deferral(task, context_of(task))
        path, arguments = deferred.trigger.serialize()
        assert path == "mkw_airflow_provider.triggers.build.BuildTrigger"
        assert json.loads(json.dumps(arguments)) == arguments
        assert arguments.pop("deadline") == pytest.approx(time.time() + 600, abs=60)
        assert arguments == {
            "metakraftwerk_conn_id": "metakraftwerk_default",
            "build_id": BUILD,
            "poll_interval": 30.0 if make is _operator else 60.0,
        }

    def test_the_operator_without_a_timeout_waits_for_as_long_as_it_takes(self) -> None:
        task = _operator()
        deferred = deferral(task, context_of(task))
        assert isinstance(deferred.trigger, BuildTrigger)
        assert deferred.trigger.deadline is None
        assert deferred.timeout is None

    def test_the_longest_pause_of_a_sensor_with_backoff_is_its_max_wait(self, emulator: Emulator) -> None:
        emulator.start_build()
        task = _sensor(poke_interval=10, exponential_backoff=True, max_wait=timedelta(minutes=5))
        trigger = deferral(task, context_of(task)).trigger
        assert isinstance(trigger, BuildTrigger)
        assert trigger.poll_interval == 300.0


class TestTheDeadline:
    def test_the_timeout_counts_from_now(self, make: Any) -> None:
        task = make(timeout=600)
        before = time.time()
        deferred = deferral(task, context_of(task))
        assert before + 600 <= _deadline(deferred) <= time.time() + 600
        assert deferred.kwargs == {"limited_by": "timeout"}

    def test_execution_timeout_counts_from_the_start_of_the_task(self, make: Any) -> None:
        task = make(timeout=7200, execution_timeout=timedelta(hours=1))
        began = datetime.now(timezone.utc) - timedelta(minutes=10)
        deferred = deferral(task, context_of(task, start_date=began))
        assert _deadline(deferred) == began.timestamp() + 3600
        assert deferred.kwargs == {"limited_by": "execution_timeout"}

    def test_the_earlier_of_the_two_counts(self, make: Any) -> None:
        task = make(timeout=60, execution_timeout=timedelta(hours=1))
        deferred = deferral(task, context_of(task))
        assert _deadline(deferred) <= time.time() + 60
        assert deferred.kwargs == {"limited_by": "timeout"}

    def test_airflows_own_comes_later_than_the_longest_last_look(self, make: Any) -> None:
        task = make(timeout=600)
        deferred = deferral(task, context_of(task))
        assert isinstance(deferred.timeout, timedelta)
        assert deferred.timeout.total_seconds() == pytest.approx(600 + GRACE, abs=60)


#: Airflow gave the trigger up, e.g. because no triggerer ran; that is all that it says.
GIVEN_UP: tuple[str, dict[str, Any]] = ("__fail__", {"error": "Trigger timeout"})
STILL = (
    f"Airflow gave up waiting for build {BUILD}, and no triggerer has said how it is; now it is BUILDING. "
    "It goes on at the server"
)


class TestTheFrameworkGivesUp:
    def test_a_timeout_still_says_what_goes_on_and_what_a_retry_does(self, log: Log) -> None:
        context = context_of(_operator())
        deferral(_operator(timeout=60), context)
        with pytest.raises(BuildTimeoutError, match=f"^{STILL}.* A retry goes on waiting for it.$") as raised:
            _operator(timeout=60).resume_execution(*GIVEN_UP, context)
        assert raised.value.build_id == BUILD
        assert log.warnings[-1] == str(raised.value)

    def test_without_reattach_a_retry_starts_another_build(self) -> None:
        context = context_of(_operator())
        deferral(_operator(timeout=60), context)
        with pytest.raises(BuildTimeoutError, match=r"A retry starts another build\.$"):
            _operator(timeout=60, reattach=False).resume_execution(*GIVEN_UP, context)

    def test_execution_timeout_is_called_by_its_name(self, make: Any) -> None:
        limits = {"timeout": 7200, "execution_timeout": timedelta(hours=1)}
        context = context_of(make(**limits))
        deferral(make(**limits), context)
        with pytest.raises(AirflowTaskTimeout, match=f"^execution_timeout: {STILL}"):
            make(**limits).resume_execution(*GIVEN_UP, context)

    def test_a_sensor_ends_as_any_sensor_that_is_out_of_time(self, emulator: Emulator, log: Log) -> None:
        emulator.start_build()
        with pytest.raises(AirflowSensorTimeout, match=STILL):
            _sensor().resume_execution(*GIVEN_UP, context_of(_sensor()))
        assert log.warnings[-1].startswith(STILL)

    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    @pytest.mark.parametrize("limits", [{}, {"execution_timeout": timedelta(seconds=1)}])
    def test_a_sensor_that_skips_says_why(self, emulator: Emulator, option: str, limits: dict[str, Any]) -> None:
        emulator.start_build()
        task = _sensor(**{option: True}, **limits)
        with pytest.raises(AirflowSkipException, match=f"^Skipping due to {option} is set to True. .*{STILL}"):
            task.resume_execution(*GIVEN_UP, context_of(task))

    def test_a_build_that_has_ended_in_the_meantime_is_not_reported_as_timed_out(self, emulator: Emulator) -> None:
        emulator.start_build()
        emulator.end_build(BUILD, "FINISHED")
        assert _sensor().resume_execution(*GIVEN_UP, context_of(_sensor()))["status"] == "FINISHED"

    @pytest.mark.parametrize(
        ("option", "kind"),
        [
            ({}, AirflowFailException),
            ({"soft_fail": True}, AirflowSkipException),
            ({"never_fail": True}, AirflowSkipException),
        ],
    )
    def test_a_build_that_has_failed_in_the_meantime_ends_as_it_does_otherwise(
        self, emulator: Emulator, option: dict[str, bool], kind: type[Exception]
    ) -> None:
        emulator.start_build()
        emulator.end_build(BUILD, "FAILED", "the reason")
        with pytest.raises(kind, match=r"FAILED\. The server says: the reason"):
            _sensor(**option).resume_execution(*GIVEN_UP, context_of(_sensor()))

    def test_a_server_out_of_reach_is_asked_once_and_no_more(self, emulator: Emulator) -> None:
        emulator.start_build()
        emulator.fault("status", method="GET", path="/api/v1/builds/*", times=None, status=502)
        with pytest.raises(AirflowSensorTimeout, match=r"it could not be asked now either: .* 502"):
            _sensor().resume_execution(*GIVEN_UP, context_of(_sensor()))
        assert len(emulator.requests("GET", f"/api/v1/builds/{BUILD}")) == 1

    def test_a_mapped_task_finds_its_own_build(self) -> None:
        context = context_of(_operator(), map_index=3)
        deferral(_operator(timeout=60), context)
        with pytest.raises(BuildTimeoutError, match=f"build {BUILD}"):
            _operator(timeout=60).resume_execution(*GIVEN_UP, context)

    def test_a_trigger_that_failed_fails_the_task_so_that_a_retry_takes_the_build_up(self, make: Any) -> None:
        task = make()
        failed = {"error": "Trigger failure", "traceback": ["the triggerer's own"]}
        with pytest.raises(TaskDeferralError, match="Trigger failure"):
            task.resume_execution("__fail__", failed, context_of(task))


NO_EVENTS: list[Any] = [
    None,
    {},
    "FINISHED",
    [],
    {"status": "FINISHED", "build_id": BUILD},
    {"outcome": "success", "build_id": BUILD},
    {"outcome": None},
]


class TestAnEvent:
    @pytest.mark.parametrize("event", NO_EVENTS, ids=repr)
    def test_that_is_none_of_the_triggers_never_passes_for_success(self, make: Any, event: Any) -> None:
        task = make()
        with pytest.raises(
            ProtocolError, match=r"the triggerer sent an unknown event.*how the build ended is not known"
        ):
            task.resume_execution("execute_complete", {"event": event}, context_of(task))

    @pytest.mark.parametrize("build", [None, {}, {"id": BUILD}, {"id": BUILD, "status": None}, "FINISHED"])
    def test_without_a_whole_build_never_passes_for_success(self, make: Any, build: Any) -> None:
        task = make()
        event = {"outcome": "ended", "build_id": BUILD, "deadline": None, "history": {}, "build": build}
        with pytest.raises(ProtocolError):
            task.execute_complete(context_of(task), event)

    @pytest.mark.parametrize("status", ["BUILDING", "ARCHIVED"])
    def test_with_a_build_that_has_not_ended_never_passes_for_success(self, make: Any, status: str) -> None:
        task = make()
        event = {"outcome": "ended", "build_id": BUILD, "history": {}, "build": {"id": BUILD, "status": status}}
        with pytest.raises(ProtocolError, match=f"build {BUILD} is {status}, which is not the end of a build"):
            task.execute_complete(context_of(task), event)

    @pytest.mark.parametrize("error", [None, {}, {"class": "SystemExit", "arguments": []}, {"class": "os"}])
    def test_with_an_error_of_an_unknown_form_fails(self, make: Any, error: Any) -> None:
        task = make()
        event = {"outcome": "error", "build_id": BUILD, "history": {}, "error": error}
        with pytest.raises(MetaKraftwerkError, match="an error of an unknown form came out of the triggerer"):
            task.execute_complete(context_of(task), event)

    def test_is_summed_up_in_one_line(self, make: Any, log: Log) -> None:
        task = make()
        history = {"seconds": 95.2, "polls": 7, "changes": [[0.1, "BUILDING", 3], [95.2, "FINISHED", 100]]}
        build = {"id": BUILD, "status": "FINISHED"}
        event = {"outcome": "ended", "build_id": BUILD, "history": history, "build": build}
        task.execute_complete(context_of(task), event)
        assert log.lines[-2:] == [
            f"Build {BUILD} was watched for 95 s in 7 polls: BUILDING 3 % at 0 s, FINISHED 100 % at 95 s.",
            f"Build {BUILD} ended FINISHED.",
        ]

    def test_tells_the_source_of_a_timeout_even_without_the_arguments_of_the_deferral(self) -> None:
        """``dag.test()`` loses them."""
        error = BuildTimeoutError(BUILD, "the time is over.").to_dict()
        event = {"outcome": "timeout", "build_id": BUILD, "deadline": 1.0, "history": {}, "error": error}
        limits = {"timeout": 7200, "execution_timeout": timedelta(hours=1)}
        with pytest.raises(AirflowTaskTimeout, match=r"^execution_timeout: The time is over. A retry goes on"):
            _operator(**limits).execute_complete(context_of(_operator()), event)


def test_killing_a_task_that_came_back_says_that_the_build_goes_on(make: Any, log: Log) -> None:
    task = make()
    event = {"outcome": "error", "build_id": BUILD, "history": {}, "error": ProtocolError("nonsense").to_dict()}
    with pytest.raises(ProtocolError):
        task.execute_complete(context_of(task), event)
    task.on_kill()
    assert log.warnings[-1] == f"Killed. Build {BUILD} goes on at the server: the API has no cancel."


def test_a_task_instance_without_a_start_counts_from_now(emulator: Emulator) -> None:
    task = _operator(execution_timeout=timedelta(hours=1))
    deferred = deferral(task, {"ti": TaskInstance("start", start_date=None)})
    assert _deadline(deferred) == pytest.approx(time.time() + 3600, abs=60)
