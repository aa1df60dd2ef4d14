"""The ways in which a wait for a build can end, and what operator and sensor make of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    BuildCanceledError,
    BuildFailedError,
    BuildTimeoutError,
    ConnectionFailedError,
    NotFoundError,
    ProtocolError,
    ServerError,
)

Kind: TypeAlias = type[BaseException] | None
BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"


@dataclass(frozen=True)
class Case:
    """One way in which a wait can end.

    :param strike: what happens at MetaKraftwerk once the wait has begun.
    :param operator: what the operator raises then; None: it returns the build's id.
    :param sensor: what the sensor raises then; None: it returns the build.
    :param words: what the message says, besides the build's id.
    :param last: what the last line in the log says.
    :param prepare: what happens there before; the first look, that of the task itself, must succeed.
    :param after_a_look: whether it begins after the poll that a worker makes before the wait.
    :param of_look: whether a poll failed: what ``silent_fail`` waits out.
    :param final: whether no retry can fix the failure: then not even ``silent_fail`` waits on.
    """

    strike: Callable[[Emulator], Any] | None
    operator: Kind
    sensor: Kind
    words: str = ""
    last: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    after_a_look: bool = False
    of_look: bool = False
    final: bool = False
    prepare: Callable[[Emulator], Any] = bool


def _answer(emulator: Emulator, body: dict[str, Any]) -> None:
    emulator.fault("status", status=200, body={"id": BUILD, **body}, method="GET", path=PATH, times=None)


def _outage(action: str, **arguments: Any) -> Callable[[Emulator], Any]:
    return lambda emulator: emulator.fault(action, path=PATH, times=None, **arguments)


SHORT = {"outage_tolerance": 0.2}
HALF = {"timeout": 0.5}
STILL_RUNNING = "still running: the API cannot cancel builds"

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
    "timeout": Case(None, BuildTimeoutError, AirflowSensorTimeout, "last seen BUILDING", STILL_RUNNING, arguments=HALF),
    "timeout-in-an-outage": Case(
        None,
        BuildTimeoutError,
        AirflowSensorTimeout,
        "t could not be read",
        STILL_RUNNING,
        extra={"outage_tolerance": 60, "connect_timeout": 0.3},
        arguments=HALF,
        prepare=_outage("status", status=503, skip=1),
        after_a_look=True,
    ),
    "timeout-in-an-outage-from-the-first-look-on": Case(
        None,
        BuildTimeoutError,
        AirflowSensorTimeout,
        "t could not be read",
        STILL_RUNNING,
        extra={"outage_tolerance": 60, "connect_timeout": 0.3},
        arguments=HALF,
        prepare=_outage("status", status=503),
    ),
    "vanished": Case(
        lambda e: e.delete_build(BUILD),
        NotFoundError,
        AirflowFailException,
        f"returned 404: No record found for id '{BUILD}'",
        final=True,
    ),
    "outage-503": Case(
        _outage("status", status=503), ServerError, ServerError, "Service Unavailable", extra=SHORT, of_look=True
    ),
    "outage-reset": Case(
        _outage("reset"),
        ConnectionFailedError,
        ConnectionFailedError,
        "the state on the server is unknown",
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
    "401-forever": Case(
        _outage("expired"), AirflowFailException, AirflowFailException, "Not authenticated", final=True
    ),
}
