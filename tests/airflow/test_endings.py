"""Deferred and not deferred, a wait ends alike: same result, same exception, same words, same last line in the log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from mkw_airflow_provider.client import authentication
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    BuildCanceledError,
    BuildFailedError,
    BuildTimeoutError,
    ConnectionFailedError,
    NotAuthenticatedError,
    NotFoundError,
    ProtocolError,
    ServerError,
)
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.airflow.harness import Ending, alarm_in_a_worker, context_of, play, timeless

pytestmark = pytest.mark.usefixtures("at_once")
#: Airflow's alarm and that of pytest-timeout are the same signal.
alarmed = pytest.mark.timeout(120, method="thread")

Kind = type[BaseException] | None
BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"
POLL = 0.05


@dataclass(frozen=True)
class Case:
    """One way in which a wait can end.

    :param strike: what happens at MetaKraftwerk once the wait has begun.
    :param operator: what the operator raises then; None: it returns the build's id.
    :param sensor: what the sensor raises then; None: it returns the build.
    :param words: what the message says, besides the build's id.
    :param last: what the last line in the log says.
    :param prepare: what happens there before; the first look, that of the task itself, must succeed.
    :param of_look: whether a look at the build went wrong, not the wait: what ``silent_fail`` waits out.
    """

    strike: Callable[[Emulator], Any] | None
    operator: Kind
    sensor: Kind
    words: str = ""
    last: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    of_look: bool = False
    prepare: Callable[[Emulator], Any] = bool


def _answer(emulator: Emulator, body: dict[str, Any]) -> None:
    emulator.fault("status", status=200, body={"id": BUILD, **body}, method="GET", path=PATH, times=None)


def _outage(action: str, **arguments: Any) -> Callable[[Emulator], Any]:
    return lambda emulator: emulator.fault(action, path=PATH, times=None, **arguments)


SHORT = {"outage_tolerance": 0.2}
HALF = {"timeout": 0.5}
GOES_ON = "t goes on at the server"

CASES = {
    "finished": Case(lambda e: e.end_build(BUILD, "FINISHED"), None, None, last=f"Build {BUILD} ended FINISHED"),
    "failed": Case(
        lambda e: e.end_build(BUILD, "FAILED", "disk full"),
        BuildFailedError,
        AirflowFailException,
        "FAILED. The server says: disk full",
        f"Build {BUILD} ended FAILED after N s: disk full.",
    ),
    "canceled": Case(
        lambda e: e.end_build(BUILD, "CANCELED"),
        BuildCanceledError,
        AirflowFailException,
        "was CANCELED in the web application",
        f"Build {BUILD} ended CANCELED",
    ),
    "timeout": Case(None, BuildTimeoutError, AirflowSensorTimeout, "last seen BUILDING", GOES_ON, arguments=HALF),
    "timeout-in-an-outage": Case(
        None,
        BuildTimeoutError,
        AirflowSensorTimeout,
        "The server could not be asked at the end",
        GOES_ON,
        extra={"outage_tolerance": 60, "connect_timeout": 0.3},
        arguments=HALF,
        prepare=_outage("status", status=503, skip=1),
    ),
    "timeout-in-an-outage-from-the-first-look-on": Case(
        None,
        BuildTimeoutError,
        AirflowSensorTimeout,
        "The server could not be asked at the end",
        GOES_ON,
        extra={"outage_tolerance": 60, "connect_timeout": 0.3},
        arguments=HALF,
        prepare=_outage("status", status=503),
    ),
    "vanished": Case(
        lambda e: e.delete_build(BUILD),
        NotFoundError,
        NotFoundError,
        f"answered with 404: No record found for id '{BUILD}'",
        of_look=True,
    ),
    "outage-503": Case(
        _outage("status", status=503), ServerError, ServerError, "Service Unavailable", extra=SHORT, of_look=True
    ),
    "outage-reset": Case(
        _outage("reset"),
        ConnectionFailedError,
        ConnectionFailedError,
        "what goes on at the server is unknown",
        extra=SHORT,
        of_look=True,
    ),
    "outage-html": Case(
        _outage("status", status=200, body="<html>", content_type="text/html"),
        ProtocolError,
        ProtocolError,
        "is not the documented JSON",
        extra=SHORT,
        of_look=True,
    ),
    "unknown-status-ended": Case(
        lambda e: _answer(e, {"status": "ARCHIVED", "build_end": "2026-11-22T02:00:00Z"}),
        ProtocolError,
        ProtocolError,
        "has the status 'ARCHIVED', which the API does not document",
        of_look=True,
    ),
    "unknown-status-for-too-long": Case(
        lambda e: _answer(e, {"status": "PAUSED"}),
        ProtocolError,
        ProtocolError,
        "has the status 'PAUSED', which the API does not document",
        extra=SHORT,
        of_look=True,
    ),
    "another-build": Case(
        lambda e: _answer(e, {"id": 7, "status": "FINISHED"}),
        ProtocolError,
        ProtocolError,
        f"build {BUILD} was asked for, build 7 came",
        extra=SHORT,
        of_look=True,
    ),
    "401-for-ever": Case(
        _outage("expired"), NotAuthenticatedError, NotAuthenticatedError, "Not authenticated", of_look=True
    ),
}


@dataclass
class Both:
    """How one wait ended plain and deferred, and the last lines of both logs."""

    plain: Ending
    deferred: Ending
    lasts: tuple[str, str]

    @property
    def words(self) -> tuple[str, str]:
        return (_without_transport(str(self.plain.error)), _without_transport(str(self.deferred.error)))


def _without_transport(text: str) -> str:
    # requests and aiohttp name a broken connection differently; the words around it are the client's.
    return timeless(re.sub(r"(got no answer: )[^(]*", r"\1", text))


class Waits:
    """Plays one wait twice, each time with a fresh MetaKraftwerk."""

    def __init__(self, emulator: Emulator, connect: Connect, log: Log) -> None:
        self._emulator = emulator
        self._connect = connect
        self._log = log

    def both(self, case: Case, make: Callable[..., Any], start_date: Callable[[], datetime] = datetime.now) -> Both:
        plain, last = self._play(case, lambda: make(deferrable=False), start_date)
        deferred, deferred_last = self._play(case, lambda: make(deferrable=True), start_date)
        assert plain.deferrals == 0
        assert deferred.deferrals >= 1
        return Both(plain, deferred, (last, deferred_last))

    def _play(self, case: Case, make: Callable[[], Any], start_date: Callable[[], datetime]) -> tuple[Ending, str]:
        emulator, strike = self._emulator, case.strike
        emulator.reset()
        # Its tokens are gone, and each play is a process of its own.
        authentication._wallets.clear()
        emulator.set(build_seconds=60)
        case.prepare(emulator)
        self._connect(**case.extra)
        self._log.clear()
        if strike is not None:
            self._log.once(f"Build {BUILD} is BUILDING", lambda: strike(emulator))
        operator = make()
        if isinstance(operator, BuildSensor):
            emulator.start_build()
        return play(make, context_of(operator, start_date=start_date())), _without_transport(self._log.lines[-1])


@pytest.fixture
def waits(emulator: Emulator, connect: Connect, log: Log) -> Waits:
    return Waits(emulator, connect, log)


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
    assert both.plain.kind() is both.deferred.kind() is kind
    assert both.words[0] == both.words[1]
    assert both.lasts[0] == both.lasts[1]


@pytest.mark.parametrize("name", CASES)
class TestEveryEnding:
    def test_of_the_operator(self, waits: Waits, name: str) -> None:
        case = CASES[name]
        both = waits.both(case, _operator(**case.arguments))
        _alike(both, case.operator)
        assert both.plain.result == both.deferred.result == (BUILD if case.operator is None else None)
        assert case.words in both.words[0]
        assert case.last in both.lasts[0]

    def test_of_the_sensor(self, waits: Waits, name: str) -> None:
        case = CASES[name]
        both = waits.both(case, _sensor(**case.arguments))
        _alike(both, case.sensor)
        assert case.words in both.words[0]
        assert case.last in both.lasts[0]
        if case.sensor is None:
            for ending in (both.plain, both.deferred):
                assert {key: ending.result[key] for key in ("id", "status")} == {"id": BUILD, "status": "FINISHED"}
            assert both.plain.result.keys() == both.deferred.result.keys()


OF_A_LOOK = [name for name, case in CASES.items() if case.of_look]
OF_THE_WAIT = [name for name, case in CASES.items() if not case.of_look]


@pytest.mark.parametrize("name", OF_THE_WAIT)
def test_soft_fail_skips_what_ends_a_wait_for_good(waits: Waits, name: str) -> None:
    case = CASES[name]
    both = waits.both(case, _sensor(soft_fail=True, **case.arguments))
    _alike(both, case.sensor and AirflowSkipException)
    assert case.words in both.words[0]
    assert case.last in both.lasts[0]
    assert case.sensor is None or both.words[0].startswith("Skipping due to soft_fail is set to True. ")


@pytest.mark.parametrize("name", ["vanished", "outage-503", "unknown-status-ended", "401-for-ever"])
def test_soft_fail_does_not_skip_what_went_wrong_with_a_look(waits: Waits, name: str) -> None:
    both = waits.both(CASES[name], _sensor(soft_fail=True))
    _alike(both, CASES[name].sensor)


@pytest.mark.parametrize("name", ["failed", "timeout", *OF_A_LOOK])
def test_never_fail_skips_whatever_goes_wrong(waits: Waits, name: str) -> None:
    case = CASES[name]
    both = waits.both(case, _sensor(never_fail=True, **case.arguments))
    _alike(both, AirflowSkipException)
    assert case.words in both.words[0]
    assert both.words[0].startswith("Skipping due to never_fail is set to True. ")


@pytest.mark.parametrize("name", OF_A_LOOK)
def test_silent_fail_waits_on_whatever_goes_wrong_with_a_look(waits: Waits, name: str) -> None:
    both = waits.both(CASES[name], _sensor(silent_fail=True, timeout=0.7))
    # Whether the last look began before the deadline or after it is a matter of time, and so are the words about it.
    assert both.plain.kind() is both.deferred.kind() is AirflowSensorTimeout
    for last in both.lasts:
        assert last.startswith("The time for waiting is over")
        assert GOES_ON in last


def test_silent_fail_does_not_silence_the_end_of_the_build(waits: Waits) -> None:
    both = waits.both(CASES["failed"], _sensor(silent_fail=True))
    _alike(both, AirflowFailException)


#: In a worker either the wait's own deadline comes first, or Airflow's alarm; in a triggerer there is no alarm.
FIRST = {"deadline": None, "alarm": alarm_in_a_worker}
#: The task began two seconds ago, so the wait has one second left, and the alarm three.
LIMIT = timedelta(seconds=3)


def _two_seconds_ago() -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=2)


@alarmed
@pytest.mark.parametrize("make", [_operator, _sensor])
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout(waits: Waits, make: Callable[..., Any], first: str) -> None:
    """Airflow sets an alarm in a worker only; the wait keeps it by itself as well, in both places."""
    case = Case(FIRST[first], AirflowTaskTimeout, AirflowTaskTimeout)
    both = waits.both(case, make(timeout=60, execution_timeout=LIMIT), start_date=_two_seconds_ago)
    _alike(both, AirflowTaskTimeout)
    assert both.words[0].startswith("execution_timeout: The time for waiting is over")
    assert f"build {BUILD} has not ended (last seen BUILDING" in both.words[0]
    assert GOES_ON in both.lasts[0]


@alarmed
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("first", FIRST)
def test_execution_timeout_of_a_sensor_that_skips(waits: Waits, option: str, first: str) -> None:
    case = Case(FIRST[first], None, AirflowSkipException)
    make = _sensor(execution_timeout=LIMIT, **{option: True})
    both = waits.both(case, make, start_date=_two_seconds_ago)
    _alike(both, AirflowSkipException)
    assert "execution_timeout: The time for waiting is over" in both.words[0]
