"""The link to MetaKraftwerk on each task, read from Airflow's API as its pages do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram

CHAIN = "metakraftwerk_four_tasks"
ONE_TASK = "metakraftwerk_start_and_wait"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "This never happened."
        time.sleep(0.2)


@pytest.fixture(scope="module")
def links(airflow: AirflowStack, metakraftwerk_program: EmulatorProgram) -> dict[str, dict[str, str | None]]:
    """The links of all tasks of a chain, while its build runs and after it has failed."""
    client, control = airflow.client, metakraftwerk_program.control
    control.reset()
    client.wait_for_dag(CHAIN)
    run_id = client.trigger(CHAIN)

    def read() -> dict[str, str | None]:
        tasks = client.task_instances(CHAIN, run_id)
        return {task["task_id"]: client.extra_links(CHAIN, run_id, task["task_id"])["MetaKraftwerk"] for task in tasks}

    before = read()
    _until(lambda: client.task_instance(CHAIN, run_id, "wait_for_build")["state"] == "deferred")
    while_running = read()
    control.end_build(control.builds()[0]["id"], "FAILED", "source column is missing")
    assert client.wait_for_run(CHAIN, run_id) == "failed"
    log = client.log(CHAIN, run_id, "start_build") + client.log(CHAIN, run_id, "wait_for_build")
    line = f"Build {control.builds()[0]['id']} in MetaKraftwerk: {metakraftwerk_program.url}"
    assert log.count(line) == 2
    return {"before": before, "running": while_running, "failed": read()}


def test_no_button_before_there_is_a_build(links: dict[str, dict[str, str | None]]) -> None:
    assert set(links["before"].values()) == {None}


@pytest.mark.parametrize("moment", ["running", "failed"])
def test_every_task_has_the_link(
    links: dict[str, dict[str, str | None]], moment: str, metakraftwerk_program: EmulatorProgram
) -> None:
    """Those too that no worker has touched: their build is the one that the first task has pushed."""
    tasks = ("start_build", "wait_for_build", "download_build", "deploy_build")
    assert links[moment] == dict.fromkeys(tasks, metakraftwerk_program.url)


def test_a_killed_task_has_the_link(airflow: AirflowStack, metakraftwerk_program: EmulatorProgram) -> None:
    client = airflow.client
    metakraftwerk_program.control.reset()
    client.wait_for_dag(ONE_TASK)
    run_id = client.trigger(ONE_TASK)
    (task_id,) = (task["task_id"] for task in client.task_instances(ONE_TASK, run_id))
    _until(lambda: bool(metakraftwerk_program.control.builds()))
    _until(lambda: client.extra_links(ONE_TASK, run_id, task_id)["MetaKraftwerk"] is not None)
    client.set_state(ONE_TASK, run_id, task_id, "failed")
    assert client.extra_links(ONE_TASK, run_id, task_id)["MetaKraftwerk"] == metakraftwerk_program.url
