"""Triggers of rows that other versions of this package have stored, as after an upgrade or a rollback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator
from tests.airflow.conftest import Connect
from tests.kit.airflow_names import of_this_version
from tests.kit.tasks import only_event, through_database

BUILD = 5139


@pytest.fixture(autouse=True)
def _a_long_build(emulator: Emulator, connect: Connect, no_delays: None) -> None:
    emulator.set(build_seconds=60)
    emulator.start_build()


#: Rows as versions of this package have stored them, and one of a later version.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "0.1, BuildTrigger": ("build.BuildTrigger", {}),
    "0.1, EndingTrigger": ("without_worker.EndingTrigger", {"ends_with": "build_id"}),
    "0.1, SensorTrigger": (
        "without_worker.SensorTrigger",
        {"ends_with": "build", "from_task": None, "from_key": None, "wait": 60.0, "backstop": 3660.0},
    ),
    "1.0.0rc1, BuildTrigger": (
        "build.BuildTrigger",
        {"deadline": 4_000_000_000.0, "limit": "timeout", "outage_tolerance": 60.0, "end_from_trigger": False},
    ),
    "later": ("build.BuildTrigger", {"limit": "timeout", "of_2031": {"x": 1}}),
}


@pytest.mark.parametrize("version", ROWS)
def test_rows_of_every_version_load_and_end(emulator: Emulator, version: str) -> None:
    path, more = ROWS[version]
    row = {"metakraftwerk_conn_id": "metakraftwerk_default", "build_id": BUILD, "poll_interval": 0.05, **more}
    emulator.end_build(BUILD, "FINISHED")
    for missing in (None, "poll_interval"):
        arguments = {name: value for name, value in row.items() if name != missing}
        trigger = of_this_version(f"mkw_airflow_provider.triggers.{path}")(**arguments)
        again = through_database(trigger)
        assert again.serialize() == trigger.serialize()
        assert asyncio.run(only_event(again))["outcome"] == "ended"
