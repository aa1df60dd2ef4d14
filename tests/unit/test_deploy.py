"""Deploying: one POST, whose deployment is told from those of other agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
from mkw_airflow_provider.client.flows.deploy import DeploymentRequest, Target, check_outcome, create, deploy
from mkw_airflow_provider.exceptions import (
    ConfigurationError,
    DeploymentFailedError,
    DeploymentUncertainError,
    NotFoundError,
    ServerError,
)
from tests.kit.deployments_server import DEPLOYMENT_REQUEST, DeploymentsServer
from tests.kit.simulation import World, html, http_error, lost, unreachable

LISTED = "GET /build_deployments?build_id=5139&pattern=CORE_DV_HLS&deployment=DEPLOY_TO_DEV"
POSTED = "POST /build_deployments"
LOST_BEFORE_THE_WORK = (lost("connection reset"), False)
LOST_AFTER_THE_WORK = (lost("read timed out"), True)


def run(world: World, known: Any = (), **executor: Any) -> BuildDeployment:
    made: BuildDeployment = world.run(deploy(world.session, replace(DEPLOYMENT_REQUEST, **executor), known))
    return made


def row(agent_id: int | None, group_id: int | None) -> BuildDeployment:
    return BuildDeployment.from_json({"id": 1, "agent_id": agent_id, "agent_group_id": group_id})


AGENT, GROUP, DEFAULT, UNKNOWN = Target(frozenset([1])), Target(None, frozenset([1])), Target(is_default=True), Target()
OTHER_AGENTS, OTHER_GROUPS = Target(other_agents=frozenset([2])), Target(other_groups=frozenset([2]))


@pytest.mark.parametrize(
    ("target", "agent_id", "group_id", "matches", "counts"),
    [
        (AGENT, 1, None, True, True),
        (AGENT, 2, None, False, False),
        (AGENT, None, 1, False, False),
        (AGENT, 1, 1, None, False),
        (AGENT, None, None, None, True),
        (GROUP, None, 1, True, True),
        (GROUP, 2, 1, True, True),
        (GROUP, None, 2, False, False),
        (GROUP, 1, None, None, False),
        (GROUP, None, None, None, True),
        (DEFAULT, None, None, True, True),
        (DEFAULT, 1, None, None, True),
        (DEFAULT, None, 1, None, True),
        (UNKNOWN, 1, None, None, True),
        (UNKNOWN, None, None, None, True),
        (OTHER_AGENTS, 2, None, False, False),
        (OTHER_AGENTS, 1, None, None, False),
        (OTHER_AGENTS, None, None, None, True),
        (OTHER_GROUPS, 1, 2, False, False),
        (OTHER_GROUPS, 1, None, None, False),
    ],
)
def test_deployment_is_matched_to_its_executor(target, agent_id, group_id, matches, counts):
    assert target.matches(row(agent_id, group_id)) is matches
    assert target.counts_as_deployed(row(agent_id, group_id)) is counts


def test_request_is_sent_as_documented(world):
    DeploymentsServer(world)
    assert run(world, agent_group="DEV_AGENTS").id == 19
    assert world.requested == [POSTED]
    assert world.sent[0].call.body == {
        "build_id": 5139,
        "pattern": "CORE_DV_HLS",
        "deployment": "DEPLOY_TO_DEV",
        "agent_group": "DEV_AGENTS",
    }


@pytest.mark.parametrize(
    "fault", [lost(), html(201), http_error(500), http_error(502), http_error(504), http_error(503)]
)
@pytest.mark.parametrize(
    ("executor", "lookups"),
    [
        ({}, []),
        ({"agent_id": 1}, []),
        ({"agent_group_id": 2}, []),
        ({"agent": "dev_agent"}, ["GET /agents?name=dev_agent"]),
        ({"agent_group": "DEV_AGENTS"}, ["GET /agent_groups?name=DEV_AGENTS"]),
    ],
)
def test_lost_response_is_found_in_the_list(world, fault, executor, lookups):
    DeploymentsServer(world, faults=[(fault, True)])
    assert run(world, **executor).id == 19
    assert world.requested == [POSTED, LISTED, *lookups]


def test_lost_response_ignores_older_deployments(world):
    server = DeploymentsServer(world, faults=[LOST_AFTER_THE_WORK])
    older = server.add()["id"]
    server.listed_after = 30.0
    assert run(world, known=[older]).id == older + 1
    assert world.requested.count(POSTED) == 1


@pytest.mark.parametrize("executor", [{}, {"agent": "dev_agent"}, {"agent_group": "DEV_AGENTS"}, {"agent_id": 1}])
@pytest.mark.parametrize(
    "other", [{"agent_id": 2}, {"agent_group_id": 2}, {"agent_id": 2, "agent_group_id": 2}], ids=str
)
def test_lost_response_ignores_other_agents(executor, other):
    world = World(outage_tolerance=60.0)
    server = DeploymentsServer(world, faults=[LOST_BEFORE_THE_WORK])
    server.add(**other)
    with pytest.raises(DeploymentUncertainError) as caught:
        run(world, **executor)
    assert world.requested.count(POSTED) == 1
    assert "may be running on the server. The next attempt of this task checks first" in str(caught.value)


@pytest.mark.parametrize("executor", [{"agent": "dev_agent"}, {"agent_group": "DEV_AGENTS"}, {"agent": "no_such"}])
def test_unknown_executor_leaves_it_uncertain(executor):
    """The server does not show who executes a deployment, or the name does not lead to an id."""
    world = World(outage_tolerance=60.0)
    server = DeploymentsServer(world, faults=[LOST_AFTER_THE_WORK])
    server.shows_agents = False
    with pytest.raises(DeploymentUncertainError):
        run(world, **executor)


def test_search_after_a_500_takes_read_timeout(world):
    DeploymentsServer(world, faults=[(http_error(500), False)])
    with pytest.raises(ServerError):
        run(world)
    assert world.now == pytest.approx(world.settings.read_timeout)
    assert world.requested.count(POSTED) == 1


def test_uncertain_if_the_search_fails():
    world = World(outage_tolerance=60.0)
    server = DeploymentsServer(world, faults=[LOST_AFTER_THE_WORK])
    world.server = lambda request: unreachable() if request.method == "GET" else server(request)
    with pytest.raises(DeploymentUncertainError, match="connection refused"):
        run(world)


def test_error_response_is_final(world):
    world.script(http_error(404, "Build not found"))
    with pytest.raises(NotFoundError, match="Build not found"):
        run(world)
    assert world.requested == [POSTED]


def test_lost_response_without_a_list_is_an_error(world):
    DeploymentsServer(world, faults=[LOST_AFTER_THE_WORK])
    with pytest.raises(DeploymentUncertainError, match="List the build's deployments before you deploy again"):
        world.run(create(world.session, **vars(DEPLOYMENT_REQUEST)))
    assert (world.requested, world.pauses) == ([POSTED], [])


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        ({}, ""),
        ({"agent": "A"}, ", agent A"),
        ({"agent_id": 2}, ", agent 2"),
        ({"agent_group": "G"}, ", agent group G"),
    ],
)
def test_accepted_deployment_is_logged(world, executor, text):
    order = replace(DEPLOYMENT_REQUEST, **executor)
    check_outcome(world.session, order, BuildDeployment.from_json({"id": 19}))
    (line,) = world.logged()
    assert line == (
        f"Deployment 19 of build 5139 (CORE_DV_HLS, DEPLOY_TO_DEV{text}) was accepted. "
        "The API does not report its outcome; check https://mkw.example.com."
    )


def test_undocumented_status_is_used(world):
    made = BuildDeployment.from_json({"id": 19, "status": "DEPLOYING", "message": "copying"})
    assert check_outcome(world.session, DEPLOYMENT_REQUEST, made) is made
    assert world.logged() == [
        "Deployment 19 of build 5139 (CORE_DV_HLS, DEPLOY_TO_DEV) was accepted; the server says: DEPLOYING: copying."
    ]
    failed = BuildDeployment.from_json({"id": 19, "status": "FAILED", "message": "ENOENT"})
    with pytest.raises(DeploymentFailedError, match=r"FAILED: ENOENT. Clear the task to deploy again"):
        check_outcome(world.session, DEPLOYMENT_REQUEST, failed)


BOTH = {"pattern": "P", "deployment": "D"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"deployment": "D"}, "exactly one of `pattern` or `pattern_id` is needed; nothing is given"),
        ({**BOTH, "pattern_id": 1}, "`pattern` and `pattern_id`"),
        ({"pattern": "P"}, "exactly one of `deployment` or `deployment_id` is needed; nothing is given"),
        ({**BOTH, "deployment_id": 1}, "`deployment` and `deployment_id`"),
        ({**BOTH, "agent": "A", "agent_group_id": 1}, "`agent` and `agent_group_id`"),
        ({**BOTH, "agent": "A", "agent_id": 1}, "`agent` and `agent_id`"),
    ],
)
def test_request_that_the_api_rules_out(arguments, words):
    order = DeploymentRequest(5139, **arguments)
    with pytest.raises(ConfigurationError, match=words):
        order.check()
    with pytest.raises(ConfigurationError, match=words):
        order.post()
