"""In each mode a task ends the same: same result, same exception, same text, same last line in the log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.airflow.endings import BUILD, CASES, STILL_RUNNING, Case
from tests.kit.pauses import forget_tokens
from tests.kit.tasks import Ending, alarm_in_a_worker, context_of, run_task, without_times
from tests.kit.triggerer import Supervisor, run_without_worker, since_33

pytestmark = pytest.mark.usefixtures("no_delays")
#: Airflow's alarm and that of pytest-timeout are the same signal.
alarmed = pytest.mark.timeout(120, method="thread")
POLL = 0.05
since_3 = pytest.mark.skipif(airflow_version.startswith("2."), reason="Airflow 2 asks its database for the first poll")
#: Arguments of the sensor, by where it waits.
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "deferred": {"deferrable": True},
    "started": {"deferrable": True, "start_from_trigger": True},
    "ended": {"deferrable": True, "start_from_trigger": True, "end_from_trigger": True},
    "rescheduled": {"mode": "reschedule"},
}
sensor_modes = pytest.mark.parametrize(
    "mode",
    [
        "plain",
        "deferred",
        pytest.param("started", marks=since_33),
        pytest.param("ended", marks=since_33),
        pytest.param("rescheduled", marks=since_3),
    ],
)


@dataclass
class End:
    """How a wait ended, and the last line of the log."""

    ending: Ending
    last: str

    @property
    def text(self) -> str:
        return _without_transport(str(self.ending.error))


def _without_transport(text: str) -> str:
    # requests and aiohttp name a broken connection differently; the words around it are the client's.
    return without_times(re.sub(r"(got no response: )[^(]*", r"\1", text))


class Waits:
    """Runs a wait on a server in its initial state."""

    def __init__(self, emulator: Emulator, connect: Connect, log: Log, supervisor: Callable[[], Supervisor]) -> None:
        self._emulator = emulator
        self._connect = connect
        self._log = log
        self._supervisor = supervisor

    def run(
        self,
        case: Case,
        make: Callable[[], Any],
        mode: str,
        start_date: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> End:
        emulator, strike = self._emulator, case.strike
        emulator.reset()
        # Each run is a process of its own.
        forget_tokens()
        emulator.set(build_seconds=60)
        case.prepare(emulator)
        self._connect(**case.extra)
        self._log.clear()
        if strike is not None:
            self._log.once(f"Build {BUILD} is BUILDING", lambda: strike(emulator))
        operator = make()
        if isinstance(operator, BuildSensor):
            emulator.start_build()
        context = context_of(operator, start_date=start_date())
        if mode in ("started", "ended"):
            ending = run_without_worker(make, context, self._supervisor())
        else:
            ending = run_task(make, context)
        assert ending.deferrals > 0 or mode != "deferred"
        assert ending.deferrals == 0 or mode not in ("plain", "rescheduled")
        return End(ending, _without_transport(self._log.lines[-1]))


@pytest.fixture
def waits(emulator: Emulator, connect: Connect, log: Log, monkeypatch: pytest.MonkeyPatch) -> Waits:
    return Waits(emulator, connect, log, lambda: Supervisor(monkeypatch))


def _operator(mode: str, **arguments: Any) -> Callable[[], StartBuildOperator]:
    return lambda: StartBuildOperator(
        task_id="start",
        project="DEMO_PROJECT",
        instances=[AIRPLANE],
        wait_for_completion=True,
        deferrable=mode == "deferred",
        poll_interval=POLL,
        **arguments,
    )


def _sensor(mode: str, **arguments: Any) -> Callable[[], BuildSensor]:
    return lambda: BuildSensor(
        task_id="watch", build_id=BUILD, poke_interval=POLL, **MODES[mode], **{"timeout": 60, **arguments}
    )


@pytest.mark.parametrize("mode", ["plain", "deferred"])
@pytest.mark.parametrize("name", CASES)
def test_operator_ends_the_same_in_each_mode(waits: Waits, name: str, mode: str) -> None:
    case = CASES[name]
    end = waits.run(case, _operator(mode, **case.arguments), mode)
    assert end.ending.kind() is case.operator
    assert end.ending.result == (BUILD if case.operator is None else None)
    assert case.words in end.text
    assert case.last in end.last


@sensor_modes
@pytest.mark.parametrize("name", CASES)
def test_sensor_ends_the_same_in_each_mode(waits: Waits, name: str, mode: str) -> None:
    case = CASES[name]
    if case.after_a_poll and mode not in ("plain", "deferred"):
        pytest.skip("no worker polls before the wait")
    if name == "unknown-status-for-too-long" and mode == "rescheduled":
        pytest.skip("each poll is a process of its own: none knows for how long the status has been unknown")
    end = waits.run(case, _sensor(mode, **case.arguments), mode)
    assert end.ending.kind() is case.sensor
    assert case.words in end.text
    assert case.last in end.last
    if case.sensor is None:
        assert {key: end.ending.result[key] for key in ("id", "status")} == {"id": BUILD, "status": "FINISHED"}
    if case.sensor is AirflowFailException:
        assert end.ending.error is not None
        assert end.ending.error.__context__ is not None


#: Options of a sensor, and the cases in which each of them changes the exception.
OPTIONS: dict[str, Callable[[Case], bool]] = {
    # Never because the state of the build is unknown.
    "soft_fail": lambda case: case.sensor is not None and not case.poll_failed and not case.final,
    "never_fail": lambda case: case.sensor is not None,
}
SAMPLE = ["finished", "failed", "canceled", "timeout", "vanished", "outage-503", "unknown-status-ended", "401-forever"]


@sensor_modes
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", SAMPLE)
def test_options_work_the_same_in_each_mode(waits: Waits, name: str, option: str, mode: str) -> None:
    case = CASES[name]
    end = waits.run(case, _sensor(mode, **{option: True}, **case.arguments), mode)
    skips = OPTIONS[option](case)
    assert end.ending.kind() is (AirflowSkipException if skips else case.sensor)
    assert case.words in end.text
    assert not skips or end.text.startswith(f"Skipping because {option} is set: ")


@sensor_modes
@pytest.mark.parametrize("name", ["failed", "outage-503", "unknown-status-ended", "401-forever"])
def test_silent_fail_keeps_polling(waits: Waits, name: str, mode: str) -> None:
    """After a failed poll, but not after the end of the build or a failure that no retry can fix."""
    case = CASES[name]
    end = waits.run(case, _sensor(mode, silent_fail=True, timeout=0.7 if case.poll_failed else 20), mode)
    assert end.ending.kind() is (AirflowSensorTimeout if case.poll_failed else case.sensor)
    assert not case.poll_failed or STILL_RUNNING in end.last


#: In a worker either the wait's own deadline comes first, or Airflow's alarm; in a triggerer there is no alarm.
FIRST = {"deadline": None, "alarm": alarm_in_a_worker}


def _end_after_a_poll(waits: Waits, case: Case, make: Callable[..., Any], mode: str, options: dict[str, Any]) -> End:
    """Run a wait that began a while ago: a third of the time is left for it, and the alarm comes after all of the time.

    A busy machine needs seconds for the start and the first poll, so the time grows until the build was seen.
    """
    for seconds in (3, 12, 48):
        began = timedelta(seconds=seconds * 2 / 3)
        made = make(mode, timeout=100, execution_timeout=timedelta(seconds=seconds), **options)
        end = waits.run(case, made, mode, start_date=lambda ago=began: datetime.now(timezone.utc) - ago)
        if "last seen" in end.text:
            break
    return end


@alarmed
@pytest.mark.parametrize("option", [None, "soft_fail", "never_fail"])
@pytest.mark.parametrize("mode", ["plain", "deferred", pytest.param("started", marks=since_33)])
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout_is_equal_in_each_mode(waits: Waits, first: str, mode: str, option: str | None) -> None:
    case = Case(FIRST[first], AirflowTaskTimeout, AirflowTaskTimeout)
    options = {option: True} if option else {}
    makers = [_sensor] if option or mode == "started" else [_sensor, _operator]
    for make in makers:
        end = _end_after_a_poll(waits, case, make, mode, options)
        assert end.ending.kind() is (AirflowSkipException if option else AirflowTaskTimeout)
        assert f"uild {BUILD} did not end within `execution_timeout` (last seen BUILDING" in end.text
        assert STILL_RUNNING in end.last
