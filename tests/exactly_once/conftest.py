"""A server whose state survives its restarts, an impatient connection to it, and pauses that tests can wait for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.hooks import metakraftwerk
from mkw_airflow_provider.triggers import watch
from tests.exactly_once.accidents import Reaper
from tests.kit.pauses import shorten_pauses

#: A pause that this provider makes is shorter by this.
FASTER = 100
READ_TIMEOUT = 0.25
TOLERANCE = 0.6


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The server, and Airflow's connection to it."""
    with Emulator(tmp_path / "metakraftwerk.db") as emulator:
        extra = {"read_timeout": READ_TIMEOUT, "outage_tolerance": TOLERANCE}
        monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", json.dumps({**emulator.connection, "extra": extra}))
        yield emulator


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what cannot be set by a connection."""
    shorten_pauses(monkeypatch, FASTER)


@pytest.fixture(autouse=True)
def no_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow search its logs for no token: there are hundreds here, and what is never logged needs no hiding."""

    async def nothing(secret: str) -> None:
        del secret

    monkeypatch.setattr(metakraftwerk, "mask", lambda _: None)
    monkeypatch.setattr(watch, "mask_in_triggerer", nothing)


@pytest.fixture
def reaper(monkeypatch: pytest.MonkeyPatch) -> Reaper:
    """What kills workers."""
    reaper = Reaper()
    reaper.watch(monkeypatch)
    return reaper
