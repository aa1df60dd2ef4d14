"""A retry never deploys a second time, a cleared task deploys again: with the task state store and without it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import DeploymentUncertainError, NotFoundError
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import StateStore, Tries

BUILD = 5139
DEPLOYMENTS = "/api/v1/build_deployments"


@pytest.fixture(autouse=True)
def _a_finished_build(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=0)
    emulator.start_build()
    connect(outage_tolerance=0.3)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def store(request: pytest.FixtureRequest) -> StateStore | None:
    """The task's state store, or None as before Airflow 3.3."""
    return StateStore() if request.param else None


def _deploy(**arguments: Any) -> BuildDeploymentOperator:
    names = {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
    return BuildDeploymentOperator(**{"task_id": "deploy", "build_id": BUILD, "retries": 3, **names, **arguments})


def _somebody_deploys() -> int:
    """Deploy as another task did before."""
    made: int = Tries(lambda: _deploy(task_id="another"), dag_id="another").run(1)
    return made


def _ids(emulator: Emulator) -> list[int]:
    return [item["id"] for item in emulator.build_deployments()]


def _lose_the_answer(emulator: Emulator, *, unseen: bool = False) -> None:
    """Let the server deploy, but nobody hear of it; ``unseen``: nor see it in the list."""
    emulator.fault("reset", method="POST", path=DEPLOYMENTS, work=True)
    if unseen:
        emulator.fault("status", status=503, method="GET", path=DEPLOYMENTS, skip=1, times=None)


@pytest.mark.parametrize("if_deployed", ["skip", "deploy", "fail"])
class TestRetry:
    def test_takes_the_deployment_of_the_try_before(
        self, emulator: Emulator, store: StateStore | None, if_deployed: str, log: Log
    ) -> None:
        """The first try deployed and then broke, say because its worker was lost."""
        tries = Tries(lambda: _deploy(if_deployed=if_deployed), store=store)
        first = tries.run(1)
        assert tries.run(2) == first
        assert tries.run(3) == first
        assert _ids(emulator) == [first]
        assert f"Build deployment {first} was made by an earlier try of this task." in log.lines

    def test_finds_the_deployment_whose_answer_was_lost(
        self, emulator: Emulator, store: StateStore | None, if_deployed: str
    ) -> None:
        _lose_the_answer(emulator, unseen=True)
        tries = Tries(lambda: _deploy(if_deployed=if_deployed), store=store)
        with pytest.raises(DeploymentUncertainError, match="The next try of this task looks first"):
            tries.run(1)
        emulator.clear_faults()
        (lost,) = _ids(emulator)
        assert tries.run(2) == lost
        assert _ids(emulator) == [lost]

    def test_deploys_if_the_try_before_could_not(
        self, emulator: Emulator, store: StateStore | None, if_deployed: str
    ) -> None:
        emulator.fault("status", status=404, method="POST", path=DEPLOYMENTS)
        tries = Tries(lambda: _deploy(if_deployed=if_deployed), store=store)
        with pytest.raises(NotFoundError):
            tries.run(1)
        made = tries.run(2)
        assert _ids(emulator) == [made]


class TestRetryBesideOlderDeployments:
    """Somebody had deployed the same before this task began."""

    def test_with_the_store_a_lost_one_is_told_from_older_ones(self, emulator: Emulator) -> None:
        older = _somebody_deploys()
        _lose_the_answer(emulator, unseen=True)
        tries = Tries(lambda: _deploy(if_deployed="deploy"), store=StateStore())
        with pytest.raises(DeploymentUncertainError):
            tries.run(1)
        emulator.clear_faults()
        mine = tries.run(2)
        assert mine != older
        assert _ids(emulator) == [older, mine]

    def test_with_the_store_one_that_was_never_made_is_made(self, emulator: Emulator) -> None:
        older = _somebody_deploys()
        emulator.fault("status", status=404, method="POST", path=DEPLOYMENTS)
        tries = Tries(lambda: _deploy(if_deployed="deploy"), store=StateStore())
        with pytest.raises(NotFoundError):
            tries.run(1)
        mine = tries.run(2)
        assert _ids(emulator) == [older, mine]

    def test_without_the_store_rather_none_than_two(self, emulator: Emulator) -> None:
        older = _somebody_deploys()
        emulator.fault("status", status=404, method="POST", path=DEPLOYMENTS)
        tries = Tries(lambda: _deploy(if_deployed="deploy"))
        with pytest.raises(NotFoundError):
            tries.run(1)
        assert tries.run(2) == older
        assert _ids(emulator) == [older]

    def test_fail_fails_before_anything_is_noted(self, emulator: Emulator) -> None:
        _somebody_deploys()
        store = StateStore()
        with pytest.raises(AirflowFailException):
            Tries(lambda: _deploy(if_deployed="fail"), store=store).run(1)
        assert store.content == {}


class TestClear:
    @pytest.mark.parametrize("if_deployed", ["skip", "deploy"])
    def test_deploys_again(self, emulator: Emulator, store: StateStore | None, if_deployed: str, log: Log) -> None:
        first = Tries(lambda: _deploy(if_deployed=if_deployed), store=store).run(1)
        second = Tries(lambda: _deploy(if_deployed=if_deployed), first_try=2, store=store).run(2)
        assert _ids(emulator) == [first, second]
        if if_deployed == "skip":
            assert "This task was cleared: deploying again." in log.lines

    def test_does_not_overrule_fail(self, emulator: Emulator, store: StateStore | None) -> None:
        first = Tries(lambda: _deploy(if_deployed="fail"), store=store).run(1)
        with pytest.raises(AirflowFailException, match=f"as build deployment {first}"):
            Tries(lambda: _deploy(if_deployed="fail"), first_try=2, store=store).run(2)
        assert _ids(emulator) == [first]

    def test_a_retry_after_it_takes_what_its_own_series_made(
        self, emulator: Emulator, store: StateStore | None
    ) -> None:
        first = Tries(_deploy, store=store).run(1)
        cleared = Tries(_deploy, first_try=2, store=store)
        second = cleared.run(2)
        assert cleared.run(3) == second
        assert _ids(emulator) == [first, second]

    def test_with_the_store_a_retry_after_it_deploys_if_its_own_series_has_not(self, emulator: Emulator) -> None:
        store = StateStore()
        first = Tries(_deploy, store=store).run(1)
        cleared = Tries(_deploy, first_try=2, store=store)
        emulator.fault("status", status=404, method="POST", path=DEPLOYMENTS)
        with pytest.raises(NotFoundError):
            cleared.run(2)
        second = cleared.run(3)
        assert _ids(emulator) == [first, second]


class TestLostAnswer:
    @pytest.mark.parametrize(
        ("action", "arguments"),
        [
            ("reset", {"work": True}),
            ("close", {"work": True}),
            ("truncate", {}),
            ("status", {"status": 502, "work": True}),
            ("status", {"status": 504, "work": True}),
            ("status", {"status": 200, "body": "<html>", "work": True}),
        ],
    )
    def test_the_list_shows_what_came_of_it(
        self, emulator: Emulator, log: Log, action: str, arguments: dict[str, Any]
    ) -> None:
        older = _somebody_deploys()
        emulator.fault(action, method="POST", path=DEPLOYMENTS, **arguments)
        mine = Tries(lambda: _deploy(if_deployed="deploy"), store=StateStore()).run(1)
        assert _ids(emulator) == [older, mine]
        assert f"Build deployment {mine} is the one that the lost answer was about." in log.lines

    def test_that_was_about_nothing_ends_with_the_tolerance(self, emulator: Emulator) -> None:
        emulator.fault("reset", method="POST", path=DEPLOYMENTS)
        with pytest.raises(DeploymentUncertainError, match=r"nothing appeared within .* may run at the server"):
            Tries(_deploy, store=StateStore()).run(1)
        assert _ids(emulator) == []
        assert len(emulator.requests("POST", DEPLOYMENTS)) == 1

    def test_a_request_that_was_refused_is_sent_again(self, emulator: Emulator) -> None:
        emulator.fault("status", status=429, headers={"Retry-After": "0"}, method="POST", path=DEPLOYMENTS)
        made = Tries(_deploy).run(1)
        assert _ids(emulator) == [made]
        assert [request["status"] for request in emulator.requests("POST", DEPLOYMENTS)] == [429, 201]


def test_mapped_tasks_share_what_the_server_lists(emulator: Emulator) -> None:
    """Deployments carry no mark of who made them: the second of two that ask for the same leaves it at the first's."""
    first = Tries(_deploy, map_index=0, store=StateStore()).run(1)
    assert Tries(_deploy, map_index=1, store=StateStore()).run(1) == first
    assert _ids(emulator) == [first]
