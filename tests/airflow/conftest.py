"""Connections with short timeouts, a captured log, and triggers that send their event without delay."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from mkw_airflow_provider.emulator import Emulator

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}
#: Changes the connection: see the fixture ``connect``.
Connect: TypeAlias = Callable[..., None]
PATIENCE = {"connect_timeout": 2, "read_timeout": 2, "outage_tolerance": 2}


@pytest.fixture
def emulator(connected: Emulator) -> Emulator:
    """The emulator, with builds of half a second."""
    return connected


@pytest.fixture
def connect(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Change the connection: extra fields as keywords, standard fields in ``fields``."""

    def change(fields: dict[str, Any] | None = None, **extra: Any) -> None:
        connection = {**emulator.connection, **(fields or {}), "extra": {**PATIENCE, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", json.dumps(connection))

    change()
    return change


class Log:
    """What operators, hook and trigger logged, and actions to run when a certain line is logged."""

    def __init__(self, handler: pytest.LogCaptureFixture, logger: logging.Logger) -> None:
        self._captured = handler
        self._logger = logger

    def _records(self) -> list[logging.LogRecord]:
        return [
            record
            for record in self._captured.records
            # Airflow's warning that a test executes an operator is not part of a task's log.
            if record.name == self._logger.name and "cannot be called outside" not in record.getMessage()
        ]

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._records()]

    @property
    def warnings(self) -> list[str]:
        return [record.getMessage() for record in self._records() if record.levelno == logging.WARNING]

    def clear(self) -> None:
        self._captured.clear()

    def once(self, part: str, action: Callable[[], Any]) -> None:
        """Do something when a line with this part is logged for the first time."""
        self._logger.addFilter(_Once(part, action))


class _Once(logging.Filter):
    def __init__(self, part: str, action: Callable[[], Any]) -> None:
        super().__init__()
        self._part = part
        self._action: Callable[[], Any] | None = action

    def filter(self, record: logging.LogRecord) -> bool:
        if self._action is not None and self._part in record.getMessage():
            action, self._action = self._action, None
            action()
        return True


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """The log of operators, hook and trigger: Airflow's own goes through structlog or logging, by version."""
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
    from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
    from mkw_airflow_provider.triggers.build import BuildTrigger
    from mkw_airflow_provider.triggers.events import BuildFinishedTrigger

    logger = logging.getLogger("metakraftwerk.tests")
    logger.setLevel(logging.DEBUG)
    for kind in (MetaKraftwerkOperator, MetaKraftwerkHook, BuildTrigger, BuildFinishedTrigger):
        monkeypatch.setattr(kind, "log", logger)
    yield Log(caplog, logger)
    for item in list(logger.filters):
        logger.removeFilter(item)


@pytest.fixture
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triggers poll, and send their event, as soon as they can; a missing build is an error soon."""
    from mkw_airflow_provider.client.flows import wait
    from mkw_airflow_provider.triggers import build, watch

    monkeypatch.setattr(build, "EARLIEST_EVENT", 0.0)
    monkeypatch.setattr(watch, "SPREAD", 0.0)
    monkeypatch.setattr(wait, "NOT_FOUND_TOLERANCE", 0.3)
    monkeypatch.setattr(wait, "NOT_FOUND_PAUSE", 0.1)


@pytest.fixture
def server(emulator: Emulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The emulator with long builds, for watchers that poll often."""
    from mkw_airflow_provider.triggers import events, watch_builds
    from tests.airflow.watching import Server

    emulator.set(build_seconds=600)
    monkeypatch.setattr(events, "SHORTEST_INTERVAL", 0.05)
    monkeypatch.setattr(watch_builds, "EVENT_RECORDED", 0.0)
    monkeypatch.setattr(watch_builds, "PAUSE_AFTER_ERROR", 0.2)
    return Server(emulator)
