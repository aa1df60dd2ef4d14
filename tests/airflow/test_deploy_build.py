"""BuildDeploymentOperator: what it sends, and what it does about deployments that are listed already."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    AlreadyDeployedError,
    ApiError,
    BadRequestError,
    DeploymentFailedError,
    NotFoundError,
)
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import context_of

BUILD = 5139
DEPLOYMENTS = "/api/v1/build_deployments"


@pytest.fixture(autouse=True)
def _a_finished_build(emulator: Emulator, connect: Connect) -> None:
    emulator.set(build_seconds=0)
    emulator.start_build()


def _deploy(**arguments: Any) -> int:
    names = {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
    task = BuildDeploymentOperator(**{"task_id": "deploy", "build_id": BUILD, **names, **arguments})
    made = task.execute(context_of(task))
    assert type(made) is int
    return made


def _posts(emulator: Emulator) -> list[dict[str, Any]]:
    return [request["body"] for request in emulator.requests("POST", DEPLOYMENTS)]


class TestRequest:
    def test_list_and_documented_post_are_sent(self, emulator: Emulator) -> None:
        made = _deploy(build_id=str(BUILD), agent_group="DEV_AGENTS")
        assert [(request["method"], request["path"]) for request in emulator.requests()] == [
            ("POST", "/authentication"),
            ("GET", DEPLOYMENTS),
            ("POST", DEPLOYMENTS),
        ]
        assert _posts(emulator) == [
            {
                "build_id": BUILD,
                "pattern": "CORE_DV_HLS",
                "deployment": "DEPLOY_TO_DEV",
                "agent_group": "DEV_AGENTS",
            }
        ]
        assert [(item["id"], item["agent_group_id"]) for item in emulator.build_deployments()] == [(made, 1)]

    @pytest.mark.parametrize(
        ("agent", "sent"),
        [
            ({}, {}),
            ({"agent": "dev_md_agent"}, {"agent": "dev_md_agent"}),
            ({"agent_id": "1"}, {"agent_id": 1}),
            ({"agent_group_id": 1}, {"agent_group_id": 1}),
        ],
    )
    def test_ids_as_text_and_any_agent(self, emulator: Emulator, agent: dict[str, Any], sent: dict[str, Any]) -> None:
        _deploy(pattern=None, pattern_id="808", deployment=None, deployment_id="2", **agent)
        assert _posts(emulator) == [{"build_id": BUILD, "pattern_id": 808, "deployment_id": 2, **sent}]

    def test_log_tells_that_the_outcome_is_unknown(self, log: Log) -> None:
        made = _deploy()
        assert log.lines[-1].startswith(
            f"Deployment {made} of build {BUILD} (CORE_DV_HLS, DEPLOY_TO_DEV) was accepted. The API does not report"
        )


class TestIfDeployed:
    def test_skip_returns_the_listed_one(self, emulator: Emulator, log: Log) -> None:
        first = _deploy()
        assert _deploy() == first
        assert len(_posts(emulator)) == 1
        assert any(line.endswith("is listed already; not deploying again.") for line in log.lines)

    def test_deploy_makes_another_one(self, emulator: Emulator, log: Log) -> None:
        first = _deploy()
        second = _deploy(if_deployed="deploy")
        assert second != first
        assert [item["id"] for item in emulator.build_deployments()] == [first, second]
        assert any(line.endswith("deploying again, because `if_deployed` is 'deploy'.") for line in log.lines)

    def test_fail_is_final_and_sends_nothing(self, emulator: Emulator) -> None:
        first = _deploy()
        with pytest.raises(AirflowFailException, match=f"eployment {first} .*Nothing was sent") as raised:
            _deploy(if_deployed="fail")
        assert isinstance(raised.value.__context__, AlreadyDeployedError)
        assert len(_posts(emulator)) == 1

    @pytest.mark.parametrize("if_deployed", ["skip", "deploy", "fail"])
    def test_each_choice_deploys_if_none_is_listed(self, emulator: Emulator, if_deployed: str) -> None:
        _deploy(if_deployed=if_deployed)
        assert len(emulator.build_deployments()) == 1

    def test_other_targets_are_deployed(self, emulator: Emulator) -> None:
        other = emulator.start_build(instances=["AIRPLANE", "STG_AIRPORT"])["id"]
        made = [
            _deploy(if_deployed="fail"),
            _deploy(if_deployed="fail", deployment="DEPLOY_TO_TEST"),
            _deploy(if_deployed="fail", build_id=other),
            _deploy(if_deployed="fail", build_id=other, pattern="STAGE_LOAD"),
        ]
        assert len(set(made)) == 4

    def test_automatic_deployment_counts(self, emulator: Emulator) -> None:
        emulator.set(automatic_deployments=True)
        build_id = emulator.start_build()["id"]
        (automatic,) = emulator.build_deployments()
        assert _deploy(build_id=build_id) == automatic["id"]
        assert _posts(emulator) == []

    def test_newest_of_several_is_returned(self) -> None:
        _deploy()
        second = _deploy(if_deployed="deploy")
        assert _deploy() == second


REFUSALS: dict[str, tuple[dict[str, Any], type[ApiError], str]] = {
    "pattern": ({"pattern": "NO_SUCH"}, NotFoundError, "A pattern with the name 'NO_SUCH' does not exist!"),
    "pattern id": ({"pattern": None, "pattern_id": 9}, NotFoundError, "No record found for id '9'"),
    "pattern of another build": (
        {"pattern": "STAGE_LOAD"},
        BadRequestError,
        "The build has no results for the pattern 'STAGE_LOAD'!",
    ),
    "deployment": ({"deployment": "NO_SUCH"}, NotFoundError, "A deployment with the name 'NO_SUCH' does not exist!"),
    "agent": ({"agent": "NO_SUCH"}, NotFoundError, "An agent with the name 'NO_SUCH' does not exist!"),
    "agent group": (
        {"agent_group": "NO_SUCH"},
        NotFoundError,
        "An agent group with the name 'NO_SUCH' does not exist!",
    ),
    "build": ({"build_id": 17}, NotFoundError, "Build not found"),
}


@pytest.mark.parametrize("unknown_filter", ["404", "empty"])
@pytest.mark.parametrize("name", REFUSALS)
def test_error_has_the_servers_message(emulator: Emulator, name: str, unknown_filter: str) -> None:
    """The list request already refuses some names, if the API responds with 404 to an unknown name in a filter."""
    emulator.set(unknown_filter=unknown_filter)
    arguments, kind, words = REFUSALS[name]
    with pytest.raises(AirflowFailException) as raised:
        _deploy(**arguments)
    error = raised.value.__context__
    assert isinstance(error, kind)
    assert error.message == words
    assert len(_posts(emulator)) <= 1
    assert len(_posts(emulator)) == 1 or error.method == "GET"
    assert emulator.build_deployments() == []


@pytest.mark.parametrize("unknown_filter", ["404", "empty"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pattern": "CORE_DV_HSL"}, "the pattern 'CORE_DV_HSL' does not exist (nearest: CORE_DV_HLS"),
        ({"deployment": "DEPLOY_TO_DVE"}, "the deployment 'DEPLOY_TO_DVE' does not exist (nearest: DEPLOY_TO_DEV"),
        ({"agent_group": "DEV_AGENT"}, "the agent group 'DEV_AGENT' does not exist (nearest: DEV_AGENTS"),
    ],
)
def test_error_suggests_the_nearest_name(
    emulator: Emulator, arguments: dict[str, Any], words: str, unknown_filter: str
) -> None:
    emulator.set(unknown_filter=unknown_filter)
    with pytest.raises(AirflowFailException) as raised:
        _deploy(**arguments)
    assert words in str(raised.value)


def test_unfinished_build_is_refused_by_the_server(emulator: Emulator) -> None:
    emulator.set(build_seconds=60)
    build_id = emulator.start_build()["id"]
    with pytest.raises(AirflowFailException, match="The build is not finished!"):
        _deploy(build_id=build_id)
    assert len(_posts(emulator)) == 1


def test_missing_permission_is_an_error(emulator: Emulator, connect: Connect) -> None:
    viewer = emulator.connection_for("viewer@example.com")
    connect({name: viewer[name] for name in ("login", "password")})
    with pytest.raises(AirflowFailException, match="You don't have permissions to deploy builds in this project!"):
        _deploy()


class TestUndocumentedStatus:
    """``status`` and ``message`` are not documented; some servers may send them."""

    def test_failed_status_is_final(self, emulator: Emulator) -> None:
        emulator.set(deployment_status="present", deployment_outcome="FAILED")
        with pytest.raises(AirflowFailException, match="FAILED: Deployment failed: ENOENT") as raised:
            _deploy()
        assert isinstance(raised.value.__context__, DeploymentFailedError)
        assert "Clear the task to deploy again; a retry does not" in str(raised.value)

    @pytest.mark.parametrize("seconds", [0, 60])
    def test_other_status_is_logged(self, emulator: Emulator, log: Log, seconds: float) -> None:
        emulator.set(deployment_status="present", deployment_seconds=seconds)
        made = _deploy()
        status = "DEPLOYING" if seconds else "FINISHED"
        assert log.lines[-1].startswith(f"Deployment {made} of build {BUILD} ")
        assert status in log.lines[-1]
