"""Wherever it waits, a task ends alike: same result, same exception, same words, same last line in the log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

import pytest
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
from tests.airflow.endings import BUILD, CASES, GOES_ON, Case, Kind
from tests.kit.pauses import forget_tokens
from tests.kit.tasks import Ending, alarm_in_a_worker, context_of, play, timeless
from tests.kit.triggerer import Supervisor, play_without_worker, since_33

pytestmark = pytest.mark.usefixtures("at_once")
#: Airflow's alarm and that of pytest-timeout are the same signal.
alarmed = pytest.mark.timeout(120, method="thread")

POLL = 0.05


@dataclass
class Both:
    """How one wait ended in a worker and away from it, and the last lines of both logs."""

    plain: Ending
    away: Ending
    lasts: tuple[str, str]

    @property
    def words(self) -> tuple[str, str]:
        return (_without_transport(str(self.plain.error)), _without_transport(str(self.away.error)))


def _without_transport(text: str) -> str:
    # requests and aiohttp name a broken connection differently; the words around it are the client's.
    return timeless(re.sub(r"(got no response: )[^(]*", r"\1", text))


Play: TypeAlias = Callable[[Callable[[], Any], dict[str, Any]], Ending]


def _deferred(make: Callable[[], Any], context: dict[str, Any]) -> Ending:
    ending = play(make, context)
    assert ending.deferrals >= 1
    return ending


class Waits:
    """Plays one wait twice, each time with a fresh MetaKraftwerk.

    :param away: plays it where there is no worker, or not all the time.
    :param looks_before: whether a worker looks at the build before the wait.
    """

    def __init__(
        self, emulator: Emulator, connect: Connect, log: Log, away: Play, *, looks_before: bool = True
    ) -> None:
        self._emulator = emulator
        self._connect = connect
        self._log = log
        self._away = away
        self._looks_before = looks_before

    def both(self, case: Case, make: Callable[..., Any], start_date: Callable[[], datetime] = datetime.now) -> Both:
        if case.after_a_look and not self._looks_before:
            pytest.skip("there is no look before the wait")
        plain, last = self._play(case, lambda: make(deferrable=False), start_date, play)
        away, away_last = self._play(case, lambda: make(deferrable=True), start_date, self._away)
        assert plain.deferrals == 0
        return Both(plain, away, (last, away_last))

    def _play(
        self, case: Case, make: Callable[[], Any], start_date: Callable[[], datetime], how: Play
    ) -> tuple[Ending, str]:
        emulator, strike = self._emulator, case.strike
        emulator.reset()
        # Its tokens are gone, and each play is a process of its own.
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
        return how(make, context_of(operator, start_date=start_date())), _without_transport(self._log.lines[-1])


@pytest.fixture
def operator_waits(emulator: Emulator, connect: Connect, log: Log) -> Waits:
    return Waits(emulator, connect, log, _deferred)


@pytest.fixture(params=["deferred", pytest.param("without a worker", marks=since_33)])
def sensor_waits(
    emulator: Emulator, connect: Connect, log: Log, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Waits:
    if request.param == "deferred":
        return Waits(emulator, connect, log, _deferred)
    supervisor = Supervisor(monkeypatch)

    def away(make: Callable[[], Any], context: dict[str, Any]) -> Ending:
        return play_without_worker(make, context, supervisor)

    return Waits(emulator, connect, log, away, looks_before=False)


def _operator(**arguments: Any) -> Callable[..., StartBuildOperator]:
    return lambda **more: StartBuildOperator(
        task_id="start",
        project="DEMO_PROJECT",
        instances=[AIRPLANE],
        wait_for_completion=True,
        poll_interval=POLL,
        **arguments,
        **more,
    )


def _sensor(**arguments: Any) -> Callable[..., BuildSensor]:
    return lambda **more: BuildSensor(task_id="watch", build_id=BUILD, poke_interval=POLL, **arguments, **more)


def _alike(both: Both, kind: Kind) -> None:
    assert both.plain.kind() is both.away.kind() is kind
    assert both.words[0] == both.words[1]
    assert both.lasts[0] == both.lasts[1]


@pytest.mark.parametrize("name", CASES)
class TestEveryEnding:
    def test_of_the_operator(self, operator_waits: Waits, name: str) -> None:
        case = CASES[name]
        both = operator_waits.both(case, _operator(**case.arguments))
        _alike(both, case.operator)
        assert both.plain.result == both.away.result == (BUILD if case.operator is None else None)
        assert case.words in both.words[0]
        assert case.last in both.lasts[0]

    def test_of_the_sensor(self, sensor_waits: Waits, name: str) -> None:
        case = CASES[name]
        both = sensor_waits.both(case, _sensor(**case.arguments))
        _alike(both, case.sensor)
        assert case.words in both.words[0]
        assert case.last in both.lasts[0]
        if case.sensor is None:
            for ending in (both.plain, both.away):
                assert {key: ending.result[key] for key in ("id", "status")} == {"id": BUILD, "status": "FINISHED"}
            assert both.plain.result.keys() == both.away.result.keys()


OF_A_LOOK = [name for name, case in CASES.items() if case.of_look]
OF_THE_WAIT = [name for name, case in CASES.items() if not case.of_look]


@pytest.mark.parametrize("name", OF_THE_WAIT)
def test_soft_fail_skips_what_ends_a_wait_for_good(sensor_waits: Waits, name: str) -> None:
    case = CASES[name]
    both = sensor_waits.both(case, _sensor(soft_fail=True, **case.arguments))
    _alike(both, case.sensor and AirflowSkipException)
    assert case.words in both.words[0]
    assert case.last in both.lasts[0]
    assert case.sensor is None or both.words[0].startswith("Skipping due to soft_fail is set to True. ")


@pytest.mark.parametrize("name", ["vanished", "outage-503", "unknown-status-ended", "401-for-ever"])
def test_soft_fail_does_not_skip_what_went_wrong_with_a_look(sensor_waits: Waits, name: str) -> None:
    both = sensor_waits.both(CASES[name], _sensor(soft_fail=True))
    _alike(both, CASES[name].sensor)


@pytest.mark.parametrize("name", ["failed", "timeout", *OF_A_LOOK])
def test_never_fail_skips_whatever_goes_wrong(sensor_waits: Waits, name: str) -> None:
    case = CASES[name]
    both = sensor_waits.both(case, _sensor(never_fail=True, **case.arguments))
    _alike(both, AirflowSkipException)
    assert case.words in both.words[0]
    assert both.words[0].startswith("Skipping due to never_fail is set to True. ")


@pytest.mark.parametrize("name", OF_A_LOOK)
def test_silent_fail_waits_on_whatever_goes_wrong_with_a_look(sensor_waits: Waits, name: str) -> None:
    both = sensor_waits.both(CASES[name], _sensor(silent_fail=True, timeout=0.7))
    # Whether the last look began before the deadline or after it is a matter of time, and so are the words about it.
    assert both.plain.kind() is both.away.kind() is AirflowSensorTimeout
    for last in both.lasts:
        assert last.startswith("The time for waiting is over")
        assert GOES_ON in last


def test_silent_fail_does_not_silence_the_end_of_the_build(sensor_waits: Waits) -> None:
    both = sensor_waits.both(CASES["failed"], _sensor(silent_fail=True))
    _alike(both, AirflowFailException)


#: In a worker either the wait's own deadline comes first, or Airflow's alarm; in a triggerer there is no alarm.
FIRST = {"deadline": None, "alarm": alarm_in_a_worker}
#: The task began two seconds ago, so the wait has one second left, and the alarm three.
LIMIT = timedelta(seconds=3)


def _two_seconds_ago() -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=2)


@alarmed
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout_of_the_operator(operator_waits: Waits, first: str) -> None:
    _times_out(operator_waits, _operator(timeout=60, execution_timeout=LIMIT), first)


@alarmed
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout_of_the_sensor(sensor_waits: Waits, first: str) -> None:
    _times_out(sensor_waits, _sensor(timeout=60, execution_timeout=LIMIT), first)


def _times_out(waits: Waits, make: Callable[..., Any], first: str) -> None:
    """Airflow sets an alarm in a worker only; the wait keeps it by itself as well, in both places."""
    case = Case(FIRST[first], AirflowTaskTimeout, AirflowTaskTimeout)
    both = waits.both(case, make, start_date=_two_seconds_ago)
    _alike(both, AirflowTaskTimeout)
    assert both.words[0].startswith("execution_timeout: The time for waiting is over")
    assert f"build {BUILD} has not ended (last seen BUILDING" in both.words[0]
    assert GOES_ON in both.lasts[0]


@alarmed
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout_of_a_sensor_that_skips(sensor_waits: Waits, option: str, first: str) -> None:
    case = Case(FIRST[first], None, AirflowSkipException)
    make = _sensor(execution_timeout=LIMIT, **{option: True})
    both = sensor_waits.both(case, make, start_date=_two_seconds_ago)
    _alike(both, AirflowSkipException)
    assert "execution_timeout: The time for waiting is over" in both.words[0]
