"""A person's builds become asset events, and a DAG deploys each of them exactly once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from dev.stack.emulator import Control
from tests.e2e.conftest import Warehouse

pytestmark = [
    pytest.mark.skipif(not airflow_version.startswith("3.3"), reason="Airflow 3.3 remembers what was reported"),
    pytest.mark.timeout(600),
]
DAG_ID = "metakraftwerk_deploy_persons_build"
BUILDS = "/api/v1/builds"


def _wait_until(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _polls(control: Control) -> int:
    return sum(request["query"] == [["project", "DEMO_PROJECT"]] for request in control.requests("GET", BUILDS))


def _wait_for_polls(control: Control, count: int) -> None:
    seen = _polls(control)
    _wait_until(lambda: _polls(control) >= seen + count, "The watcher does not poll.")


def _deployed(control: Control, builds: list[int]) -> Counter[int]:
    """Return how many deployments each of some builds has."""
    return Counter(item["build_id"] for item in control.build_deployments() if item["build_id"] in builds)


def _start(control: Control, count: int) -> list[int]:
    return [control.start_build()["id"] for _ in range(count)]


def _finish(control: Control, builds: list[int]) -> None:
    for build in builds:
        control.end_build(build, "FINISHED")


@pytest.fixture(scope="module")
def watched(warehouse: Warehouse) -> Warehouse:
    """The warehouse, once the watcher polls."""
    warehouse.control.set(build_seconds=3600)
    warehouse.client.wait_for_dag(DAG_ID)
    _wait_for_polls(warehouse.control, 2)
    return warehouse


def test_each_build_of_a_burst_is_deployed_once(watched: Warehouse) -> None:
    control = watched.control
    builds = _start(control, 5)
    _finish(control, builds[::-1])
    _wait_until(lambda: len(_deployed(control, builds)) == 5, "Not all builds were deployed.")
    _wait_for_polls(control, 1)
    assert _deployed(control, builds) == Counter(builds)


def test_triggerer_kill_loses_no_event(watched: Warehouse) -> None:
    """One build is reported right before the kill, one finishes while no triggerer runs; neither is repeated."""
    control = watched.control
    builds = reported, meanwhile, later = _start(control, 3)
    _finish(control, [reported])
    _wait_for_polls(control, 1)
    watched.airflow.kill("triggerer")
    _finish(control, [meanwhile])
    watched.airflow.restart("triggerer")
    _finish(control, [later])
    _wait_until(lambda: len(_deployed(control, builds)) == 3, "Not all builds were deployed.")
    _wait_for_polls(control, 2)
    assert _deployed(control, builds) == Counter(builds)


def test_runs_end_well(watched: Warehouse) -> None:
    client = watched.client
    runs = client.runs(DAG_ID)
    assert {client.wait_for_run(DAG_ID, run["dag_run_id"]) for run in runs} == {"success"}
