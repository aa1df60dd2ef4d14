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
    :param prepare: what happens there before; the first poll, which the task itself makes, must succeed.
    :param after_a_poll: whether the outage begins after the poll that a worker makes before the wait.
    :param poll_failed: whether a poll failed; ``silent_fail`` then keeps polling.
    :param final: whether no retry can fix the failure: then not even ``silent_fail`` keeps polling.
    """

    strike: Callable[[Emulator], Any] | None
    operator: Kind
    sensor: Kind
    words: str = ""
    last: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    after_a_poll: bool = False
    poll_failed: bool = False
    final: bool = False
    prepare: Callable[[Emulator], Any] = bool


def _respond(emulator: Emulator, body: dict[str, Any]) -> None:
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
        after_a_poll=True,
    ),
    "timeout-in-an-outage-from-the-first-poll": Case(
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
        _outage("status", status=503), ServerError, ServerError, "Service Unavailable", extra=SHORT, poll_failed=True
    ),
    "outage-reset": Case(
        _outage("reset"),
        ConnectionFailedError,
        ConnectionFailedError,
        "the state on the server is unknown",
        extra=SHORT,
        poll_failed=True,
    ),
    "outage-html": Case(
        _outage("status", status=200, body="<html>", content_type="text/html"),
        ProtocolError,
        ProtocolError,
        "is not the documented JSON",
        extra=SHORT,
        poll_failed=True,
    ),
    "unknown-status-ended": Case(
        lambda e: _respond(e, {"status": "ARCHIVED", "build_end": "2026-11-22T02:00:00Z"}),
        ProtocolError,
        ProtocolError,
        "has the status 'ARCHIVED', which the API does not document",
        poll_failed=True,
    ),
    "unknown-status-for-too-long": Case(
        lambda e: _respond(e, {"status": "PAUSED"}),
        ProtocolError,
        ProtocolError,
        "has the status 'PAUSED', which the API does not document",
        extra=SHORT,
        poll_failed=True,
    ),
    "another-build": Case(
        lambda e: _respond(e, {"id": 7, "status": "FINISHED"}),
        ProtocolError,
        ProtocolError,
        f"build {BUILD} was asked for, build 7 came",
        extra=SHORT,
        poll_failed=True,
    ),
    "401-forever": Case(
        _outage("expired"), AirflowFailException, AirflowFailException, "Not authenticated", final=True
    ),
}
