"""What a deferred task gives to Airflow, and how it resumes: also after a failed deferral and with odd events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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
from mkw_airflow_provider.exceptions import BuildFailedError, BuildTimeoutError, NotFoundError, WaitInterruptedError
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import TaskInstance, context_of, deferral

BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"
PATIENCE = {"connect_timeout": 2, "read_timeout": 3, "outage_tolerance": 100}
#: How much later than its own deadline the framework may end a wait: the longest last poll and a minute.
GRACE = 2 + 3 + 100 + 60


@pytest.fixture(autouse=True)
def _a_long_build(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=600)
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


def _deferred(make: Any, **arguments: Any) -> dict[str, Any]:
    """Return the context of a task that has deferred: the build is started, its id is pushed."""
    task = make(**arguments)
    context = context_of(task)
    deferral(task, context)
    return context


def _deadline(deferred: TaskDeferred) -> float:
    assert isinstance(deferred.trigger, BuildTrigger)
    assert deferred.trigger.deadline is not None
    return deferred.trigger.deadline


class TestBeforeItDefers:
    def test_polls_once(self, make: Any, emulator: Emulator, log: Log) -> None:
        _deferred(make)
        assert len(emulator.requests("GET", PATH)) == 1
        assert log.lines[-1] == f"Waiting for build {BUILD} in the triggerer."

    def test_ended_build_needs_no_triggerer(self, make: Any, emulator: Emulator) -> None:
        emulator.reset()
        emulator.set(build_seconds=0)
        if make is _sensor:
            emulator.start_build()
        task = make()
        result = task.execute(context_of(task))
        assert (result if make is _operator else result["id"]) == BUILD
        assert len(emulator.requests("GET", PATH)) == 1

    def test_own_build_may_not_be_visible_yet(self, emulator: Emulator) -> None:
        emulator.fault("status", status=404, body={"message": "No record"}, method="GET", path=PATH)
        _deferred(_operator)


class TestTrigger:
    def test_gets_ids_and_numbers_only(self, make: Any) -> None:
        task = make(timeout=timedelta(minutes=10))
        deferred = deferral(task, context_of(task))
        path, arguments = deferred.trigger.serialize()
        assert path == "mkw_airflow_provider.triggers.build.BuildTrigger"
        assert json.loads(json.dumps(arguments)) == arguments
        assert arguments.pop("deadline") == pytest.approx(time.time() + 600, abs=60)
        assert arguments == {
            "metakraftwerk_conn_id": "metakraftwerk_default",
            "build_id": BUILD,
            "poll_interval": 30.0,
            "limit": "timeout",
            "outage_tolerance": 100.0,
        }

    def test_operator_without_timeout_has_no_deadline(self) -> None:
        task = _operator()
        deferred = deferral(task, context_of(task))
        assert isinstance(deferred.trigger, BuildTrigger)
        assert (deferred.trigger.deadline, deferred.timeout) == (None, None)

    def test_poll_interval_of_backoff_is_max_wait(self, emulator: Emulator) -> None:
        emulator.start_build()
        task = _sensor(poke_interval=10, exponential_backoff=True, max_wait=timedelta(minutes=5))
        trigger = deferral(task, context_of(task)).trigger
        assert isinstance(trigger, BuildTrigger)
        assert trigger.poll_interval == 300.0


class TestDeadline:
    def test_timeout_counts_from_now(self, make: Any) -> None:
        task = make(timeout=600, execution_timeout=timedelta(hours=1))
        before = time.time()
        deferred = deferral(task, context_of(task))
        assert before + 600 <= _deadline(deferred) <= time.time() + 600
        assert deferred.trigger.limit == "timeout"
        assert isinstance(deferred.timeout, timedelta)
        assert deferred.timeout.total_seconds() == pytest.approx(600 + GRACE, abs=60)

    def test_execution_timeout_counts_from_the_start(self, make: Any) -> None:
        task = make(timeout=7200, execution_timeout=timedelta(hours=1))
        began = datetime.now(timezone.utc) - timedelta(minutes=10)
        deferred = deferral(task, context_of(task, start_date=began))
        assert _deadline(deferred) == began.timestamp() + 3600
        assert deferred.trigger.limit == "execution_timeout"

    def test_without_a_start_it_counts_from_now(self) -> None:
        task = _operator(execution_timeout=timedelta(hours=1))
        deferred = deferral(task, {"ti": TaskInstance("start", start_date=None)})
        assert _deadline(deferred) == pytest.approx(time.time() + 3600, abs=60)


#: How Airflow says that a deferral failed: the reason is all that is left.
TIMEOUT = {"error": "Trigger timeout"}
FAILURES: dict[str, dict[str, Any]] = {
    "trigger raised": {"error": "Trigger failure", "traceback": ["Traceback ...", "KeyError: 'x'\n"]},
    "trigger could not be loaded": {"error": "Trigger failure", "traceback": ["TypeError: unexpected argument\n"]},
    "without a reason": {},
}
#: What else says nothing about the build: events of another version, or of a trigger that lost its connection.
EVENTS: list[Any] = [
    None,
    {},
    "FINISHED",
    {"status": "FINISHED", "build_id": BUILD},
    {"outcome": "success", "build_id": BUILD},
    {"outcome": "ended", "build_id": BUILD, "build": {"id": BUILD}},
    {"outcome": "ended", "build_id": BUILD, "build": {"id": BUILD, "status": "BUILDING"}},
    {"outcome": "error", "build_id": BUILD, "error": {"class": "os"}},
    {"outcome": "error", "build_id": BUILD, "error": WaitInterruptedError("no connection").to_dict()},
]
Resume = Callable[[Any, Any], Any]


def _failed(reason: str) -> Resume:
    return lambda task, context: task.resume_execution("__fail__", FAILURES[reason], context)


def _event(event: Any) -> Resume:
    return lambda task, context: task.resume_execution("execute_complete", {"event": event, "of_2031": 1}, context)


INTERRUPTIONS = [*(pytest.param(_failed(reason), id=reason) for reason in FAILURES)]
INTERRUPTIONS += [pytest.param(_event(event), id=f"event {event!r:.60}") for event in EVENTS]


@pytest.mark.parametrize("resume", INTERRUPTIONS)
class TestInterruption:
    """A deferral that failed for a reason that has nothing to do with the build: the build is read first."""

    def test_build_that_is_running_is_named(self, make: Any, resume: Resume, log: Log) -> None:
        context = _deferred(make)
        with pytest.raises(WaitInterruptedError, match=f"Build {BUILD} is still running \\(BUILDING"):
            resume(make(), context)
        assert f"Waiting for build {BUILD} failed" in log.lines[-1]

    @pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
    def test_build_that_has_ended_ends_the_task(
        self, make: Any, resume: Resume, emulator: Emulator, log: Log, status: str
    ) -> None:
        context = _deferred(make)
        emulator.end_build(BUILD, status)
        if status == "FINISHED":
            result = resume(make(), context)
            assert (result if make is _operator else result["id"]) == BUILD
        else:
            with pytest.raises(BuildFailedError if make is _operator else AirflowFailException):
                resume(make(), context)
        assert log.lines[-1].startswith(f"Build {BUILD} ended {status}")

    def test_sensor_never_skips_an_unknown_state(self, resume: Resume, emulator: Emulator) -> None:
        emulator.start_build()
        with pytest.raises(WaitInterruptedError):
            resume(_sensor(soft_fail=True), context_of(_sensor()))


class TestFailedDeferral:
    def test_names_the_reason_and_the_build(self, make: Any) -> None:
        context = _deferred(make)
        with pytest.raises(WaitInterruptedError, match=r"\(Trigger failure: KeyError: 'x'\)"):
            _failed("trigger raised")(make(), context)

    def test_unreachable_server_is_polled_once(self, make: Any, emulator: Emulator) -> None:
        context = _deferred(make)
        before = len(emulator.requests("GET", PATH))
        emulator.fault("status", method="GET", path="/api/v1/builds/*", times=None, status=502)
        with pytest.raises(WaitInterruptedError, match=f"state of build {BUILD} is unknown, because .* 502"):
            _failed("trigger raised")(make(), context)
        assert len(emulator.requests("GET", PATH)) == before + 1

    def test_method_of_another_version_is_resumed(self, make: Any, emulator: Emulator) -> None:
        context = _deferred(make)
        emulator.end_build(BUILD, "FINISHED")
        assert make().resume_execution("resume_of_2031", {"event": {}}, context)

    def test_mapped_task_finds_its_own_build(self) -> None:
        context = context_of(_operator(), map_index=3)
        deferral(_operator(timeout=60), context)
        with pytest.raises(BuildTimeoutError, match=f"Build {BUILD}"):
            _operator(timeout=60).resume_execution("__fail__", TIMEOUT, context)

    @pytest.mark.parametrize(
        ("traceback", "last"), [(5, "5"), ("Traceback\nKeyError: 'x'\n", "KeyError"), ([None, 7, "A\nB"], "B")]
    )
    def test_reasons_of_any_form_are_one_line(self, emulator: Emulator, log: Log, traceback: Any, last: str) -> None:
        emulator.start_build()
        task = _sensor()
        with pytest.raises(WaitInterruptedError, match=rf"\(Trigger failure FORGED: {last}.*still running") as raised:
            task.resume_execution(
                "__fail__", {"error": "Trigger failure\nFORGED", "traceback": traceback}, context_of(task)
            )
        assert str(raised.value).isprintable()
        assert log.lines[-1].isprintable()

    def test_never_fail_skips(self, emulator: Emulator) -> None:
        emulator.start_build()
        task = _sensor(never_fail=True)
        with pytest.raises(AirflowSkipException, match="Skipping because never_fail is set"):
            _failed("trigger raised")(task, context_of(task))


class TestTimeoutOfAirflow:
    """Airflow ended the deferral, for example because no triggerer ran: status first, deadline second."""

    @pytest.mark.parametrize(("reattach", "advice"), [(True, "attaches to the build"), (False, "starts another build")])
    def test_operator_tells_what_a_retry_does(self, log: Log, reattach: bool, advice: str) -> None:
        context = _deferred(_operator, timeout=60)
        task = _operator(timeout=60, reattach=reattach)
        with pytest.raises(
            BuildTimeoutError, match=rf"^Build {BUILD} did not end within .* A retry {advice}\.$"
        ) as raised:
            task.resume_execution("__fail__", TIMEOUT, context)
        assert log.lines[-1] == str(raised.value)

    def test_execution_timeout_is_named(self, make: Any) -> None:
        limits = {"timeout": 7200, "execution_timeout": timedelta(hours=1)}
        context = _deferred(make, **limits)
        with pytest.raises(AirflowTaskTimeout, match="within `execution_timeout`"):
            make(**limits).resume_execution("__fail__", TIMEOUT, context)

    def test_sensor_times_out(self, emulator: Emulator) -> None:
        emulator.start_build()
        with pytest.raises(AirflowSensorTimeout, match=r"last seen BUILDING.* still running"):
            _sensor().resume_execution("__fail__", TIMEOUT, context_of(_sensor()))

    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    @pytest.mark.parametrize("status", [None, "FAILED"])
    def test_sensor_skips_with_the_option(self, emulator: Emulator, option: str, status: str | None) -> None:
        emulator.start_build()
        if status:
            emulator.end_build(BUILD, status)
        with pytest.raises(AirflowSkipException, match=f"^Skipping because {option} is set"):
            _sensor(**{option: True}).resume_execution("__fail__", TIMEOUT, context_of(_sensor()))

    def test_ended_build_is_not_a_timeout(self, emulator: Emulator) -> None:
        emulator.start_build()
        emulator.end_build(BUILD, "FINISHED")
        assert _sensor().resume_execution("__fail__", TIMEOUT, context_of(_sensor()))["status"] == "FINISHED"


def test_event_is_summarized_in_one_line(make: Any, log: Log) -> None:
    history = {"seconds": 95.2, "polls": 7, "changes": [[0.1, "BUILDING", 3], [95.2, "FINISHED", 100]]}
    build = {"id": BUILD, "status": "FINISHED"}
    event = {"outcome": "ended", "build_id": BUILD, "history": history, "build": build}
    task = make()
    task.execute_complete(context_of(task), event)
    assert log.lines[-2:] == [
        f"Build {BUILD}: polled 7 times in 1 min 35 s: BUILDING, 3 % at 0 s; FINISHED, 100 % at 95 s.",
        f"Build {BUILD} ended FINISHED.",
    ]


def test_event_of_version_0_1_is_understood() -> None:
    error = BuildTimeoutError(BUILD, "the time is over.").to_dict()
    event = {"outcome": "timeout", "build_id": BUILD, "deadline": 1.0, "history": {}, "error": error}
    limits = {"timeout": 7200, "execution_timeout": timedelta(hours=1)}
    for arguments in ({}, {"limited_by": "execution_timeout"}):
        with pytest.raises(AirflowTaskTimeout, match="within `execution_timeout`"):
            _operator(**limits).execute_complete(context_of(_operator()), event, **arguments)


def test_retry_rebuilds_its_deleted_build(log: Log) -> None:
    error = NotFoundError(404, "No record", "GET", PATH).to_dict()
    event = {"outcome": "error", "build_id": BUILD, "history": {}, "error": error}
    with pytest.raises(NotFoundError):
        _operator().execute_complete(context_of(_operator()), event)
    assert log.lines[-1].endswith("A retry starts another build.")
    with pytest.raises(AirflowFailException):
        _sensor().execute_complete(context_of(_sensor()), event)


def test_kill_logs_that_the_build_is_running(make: Any, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection: nothing is read when a task is killed."""
    context = _deferred(make)
    task = make()
    with pytest.raises(WaitInterruptedError):
        _event({})(task, context)
    monkeypatch.delenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT")
    task.on_kill()
    assert log.warnings[-1] == f"Killed. Build {BUILD} is still running, because the API cannot cancel builds."
    make().on_kill()
