"""A retry never deploys twice, a cleared task deploys again: end to end, with a task state store and without."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import DeploymentUncertainError, NotFoundError
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators import deployment_record
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import Attempts, StateStore, search_once

BUILD = 5139
DEPLOYMENTS = "/api/v1/build_deployments"


@pytest.fixture(autouse=True)
def _a_finished_build(emulator: Emulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.set(build_seconds=0)
    emulator.start_build()
    connect(outage_tolerance=0.3, read_timeout=10)
    monkeypatch.setattr(deployment_record, "search", search_once)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def store(request: pytest.FixtureRequest) -> StateStore | None:
    """The task's state store, or None as before Airflow 3.3."""
    return StateStore() if request.param else None


def _deploy(**arguments: Any) -> BuildDeploymentOperator:
    names = {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
    return BuildDeploymentOperator(**{"task_id": "deploy", "build_id": BUILD, "retries": 3, **names, **arguments})


def _ids(emulator: Emulator) -> list[int]:
    return [item["id"] for item in emulator.build_deployments()]


@pytest.mark.parametrize("if_deployed", ["skip", "deploy", "fail"])
def test_retry_reuses_the_deployment(emulator: Emulator, store: StateStore | None, if_deployed: str, log: Log) -> None:
    """The number of retries in the worker does not matter."""
    retries = [3, 1, 0]
    attempts = Attempts(lambda: _deploy(if_deployed=if_deployed, retries=retries[0]), store=store)
    first = attempts.run()
    for _ in range(2):
        retries.pop(0)
        assert attempts.run() == first
    assert _ids(emulator) == [first]
    assert f"Deployment {first} was made by an earlier attempt of this task." in log.lines


def test_retry_finds_a_lost_deployment(emulator: Emulator, store: StateStore | None) -> None:
    emulator.fault("reset", method="POST", path=DEPLOYMENTS, work=True)
    emulator.fault("status", status=503, method="GET", path=DEPLOYMENTS, skip=1, times=None)
    attempts = Attempts(_deploy, store=store)
    with pytest.raises(DeploymentUncertainError, match="The next attempt of this task checks first"):
        attempts.run()
    emulator.clear_faults()
    (lost,) = _ids(emulator)
    assert attempts.run() == lost
    assert _ids(emulator) == [lost]


def test_wrong_name_is_final(emulator: Emulator, store: StateStore | None) -> None:
    attempts = Attempts(lambda: _deploy(agent="NO_SUCH"), store=store)
    with pytest.raises(AirflowFailException, match="An agent with the name 'NO_SUCH' does not exist!") as raised:
        attempts.run()
    assert isinstance(raised.value.__context__, NotFoundError)
    assert not store or store.content == {}


@pytest.mark.parametrize("if_deployed", ["skip", "deploy"])
def test_cleared_task_deploys_again(emulator: Emulator, store: StateStore | None, if_deployed: str, log: Log) -> None:
    attempts = Attempts(lambda: _deploy(if_deployed=if_deployed), store=store)
    first = attempts.run()
    attempts.clear()
    second = attempts.run()
    assert _ids(emulator) == [first, second]
    assert any(line.endswith("deploying again, because this task was cleared.") for line in log.lines)
    assert attempts.run() == second


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("reset", {"work": True}),
        ("close", {"work": True}),
        ("truncate", {}),
        ("status", {"status": 502, "work": True}),
        ("status", {"status": 200, "body": "<html>", "work": True}),
    ],
)
def test_lost_response_is_found(emulator: Emulator, action: str, arguments: dict[str, Any]) -> None:
    older = Attempts(lambda: _deploy(task_id="another", agent="dev_md_agent"), dag_id="another").run()
    emulator.fault(action, method="POST", path=DEPLOYMENTS, **arguments)
    mine = Attempts(lambda: _deploy(if_deployed="deploy", agent="dev_md_agent"), store=StateStore()).run()
    assert _ids(emulator) == [older, mine]


def test_refused_request_is_resent(emulator: Emulator) -> None:
    emulator.fault("status", status=429, headers={"Retry-After": "0"}, method="POST", path=DEPLOYMENTS)
    assert [Attempts(_deploy).run()] == _ids(emulator)
    assert [request["status"] for request in emulator.requests("POST", DEPLOYMENTS)] == [429, 201]


def test_agent_and_group_are_two_deployments(emulator: Emulator, store: StateStore | None) -> None:
    by_agent = Attempts(lambda: _deploy(agent="dev_md_agent"), store=store)
    by_group = Attempts(lambda: _deploy(agent_group="DEV_AGENTS"), store=None if store is None else StateStore())
    made = [by_agent.run(), by_group.run()]
    assert _ids(emulator) == made
    assert [by_agent.run(), by_group.run()] == made


def test_lost_request_ignores_other_deployments(emulator: Emulator, connect: Connect) -> None:
    """The POST of one task is lost before any work; that of another one, by another agent, appears meanwhile."""
    connect(outage_tolerance=3, read_timeout=10)
    emulator.fault("reset", method="POST", path=DEPLOYMENTS)
    by_group: list[int] = []

    def deploy_by_group() -> None:
        while not emulator.requests("POST", DEPLOYMENTS):
            time.sleep(0.01)
        made = MetaKraftwerkHook().create_build_deployment(
            build_id=5139, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV", agent_group="DEV_AGENTS"
        )
        by_group.append(made.id)

    # The operator stays in the main thread: Airflow 2 runs operators nowhere else.
    thread = threading.Thread(target=deploy_by_group, daemon=True)
    thread.start()
    with pytest.raises(DeploymentUncertainError):
        Attempts(lambda: _deploy(agent="dev_md_agent"), store=StateStore()).run()
    thread.join()
    assert _ids(emulator) == by_group


def test_mapped_tasks_share_what_is_listed(emulator: Emulator) -> None:
    """Deployments carry no marker of who made them."""
    first = Attempts(_deploy, map_index=0, store=StateStore()).run()
    assert Attempts(_deploy, map_index=1, store=StateStore()).run() == first
    assert _ids(emulator) == [first]
