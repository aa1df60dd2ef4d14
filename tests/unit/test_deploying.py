"""Deploying a build's results exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
from mkw_airflow_provider.client.flows.deploy import (
    DeploymentRequest,
    check_outcome,
    create,
    decide,
    deploy,
    listed,
)
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.exceptions import (
    AlreadyDeployedError,
    ConfigurationError,
    DeploymentFailedError,
    DeploymentUncertainError,
    NotFoundError,
)
from tests.kit.simulation import World, html, lost, ok, says_no, unreachable

ORDER = DeploymentRequest(5139, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV", agent_group="DEV_AGENTS")
LISTED = "GET /build_deployments?build_id=5139&pattern=CORE_DV_HLS&deployment=DEPLOY_TO_DEV"
POSTED = "POST /build_deployments"


def deployment(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "build_id": 5139, "pattern_id": 808, "deployment_id": 12, **fields}


def records(*numbers: int) -> list[BuildDeployment]:
    return [BuildDeployment.from_json(deployment(number)) for number in numbers]


class Deployments:
    """The build deployments of a server.

    :param there: ids of those that it has from before.
    :param faults: what happens to each POST: an answer instead of its own, and whether the work is done.
    """

    def __init__(self, world: World, *there: int, faults: Any = (), listed_after: float = 0.0) -> None:
        self.world = world
        self.faults = list(faults)
        self.since = dict.fromkeys(there, 0.0)
        self.listed_after = listed_after
        world.server = self

    def __call__(self, call: Request[Any]) -> Any:
        assert call.path == "/api/v1/build_deployments"
        if call.method == "GET":
            return ok([deployment(number) for number, since in self.since.items() if since <= self.world.now])
        answer, done = self.faults.pop(0) if self.faults else (None, True)
        if not done:
            return answer
        number = max(self.since, default=70) + 1
        self.since[number] = self.world.now + self.listed_after
        return answer or ok(deployment(number), 201)


def test_what_is_listed_comes_oldest_first(world):
    world.script(ok([deployment(3), deployment(1), deployment(2)]))
    assert [found.id for found in world.run(listed(world.session, ORDER))] == [1, 2, 3]
    assert world.asked == [LISTED]


def test_it_is_looked_up_by_ids_where_the_order_has_ids(world):
    world.script(ok([]))
    world.run(listed(world.session, DeploymentRequest(5139, pattern_id=808, deployment_id=12)))
    assert world.asked == ["GET /build_deployments?build_id=5139&pattern_id=808&deployment_id=12"]


@pytest.mark.parametrize("if_deployed", ["skip", "deploy", "fail"])
def test_what_is_not_listed_is_deployed_whatever_if_deployed_says(world, if_deployed):
    assert decide(world.session, ORDER, [], if_deployed) is None
    assert world.logged() == []


def test_skip_leaves_it_at_the_newest_one_that_is_listed(world):
    assert decide(world.session, ORDER, records(3, 9, 5), "skip").id == 9
    assert world.logged() == [
        "DEPLOY_TO_DEV of CORE_DV_HLS for build 5139 is listed already as build deployment 9; not deploying again."
    ]


def test_deploy_deploys_again(world):
    assert decide(world.session, ORDER, records(3, 9), "deploy") is None
    assert world.logged() == [
        "DEPLOY_TO_DEV of CORE_DV_HLS for build 5139 is listed already as build deployment 9; deploying again."
    ]


def test_fail_fails_and_says_that_nothing_was_sent(world):
    with pytest.raises(
        AlreadyDeployedError, match=r"as build deployment 9, and `if_deployed` is 'fail'\. Nothing was sent"
    ):
        decide(world.session, ORDER, records(3, 9), "fail")


def test_an_order_says_what_it_is_by_names_or_by_ids():
    assert str(ORDER) == "DEPLOY_TO_DEV of CORE_DV_HLS for build 5139"
    by_ids = DeploymentRequest(5139, pattern_id=808, deployment_id=12)
    assert str(by_ids) == "deployment 12 of pattern 808 for build 5139"


def test_one_post_deploys(world):
    Deployments(world)
    assert world.run(deploy(world.session, ORDER, [])).id == 71
    assert world.asked == [POSTED]
    assert world.sent[0].call.body == {
        "build_id": 5139,
        "pattern": "CORE_DV_HLS",
        "deployment": "DEPLOY_TO_DEV",
        "agent_group": "DEV_AGENTS",
    }


@pytest.mark.parametrize(
    "answer",
    [deployment(71), [deployment(71)], {"build_deployment": deployment(71)}, {"id": 71}],
    ids=["bare", "in an array", "wrapped", "id only"],
)
def test_the_answer_may_have_any_likely_form(world, answer):
    world.script(ok(answer, 201))
    assert world.run(deploy(world.session, ORDER, [])).id == 71


@pytest.mark.parametrize(
    "fault", [lost(), html(201), ok({}, 201), says_no(502), says_no(504), says_no(503), says_no(408)]
)
def test_a_lost_answer_is_cleared_up_by_what_the_list_shows(world, fault):
    Deployments(world, faults=[(fault, True)])
    assert world.run(deploy(world.session, ORDER, [])).id == 71
    assert world.asked == [POSTED, LISTED]


def test_only_a_new_one_counts(world):
    Deployments(world, 68, 69, faults=[(lost(), True)], listed_after=100.0)
    assert world.run(deploy(world.session, ORDER, [68, 69])).id == 70
    assert world.asked.count(POSTED) == 1
    assert world.now >= 100.0


def test_if_no_new_one_appears_it_is_uncertain_and_never_posted_again():
    world = World(outage_tolerance=120.0)
    Deployments(world, 68, faults=[(lost("connection reset"), False)])
    with pytest.raises(DeploymentUncertainError) as caught:
        world.run(deploy(world.session, ORDER, [68]))
    assert world.asked.count(POSTED) == 1
    assert world.now == pytest.approx(120.0)
    assert str(caught.value) == (
        "no response to POST /api/v1/build_deployments (POST /api/v1/build_deployments: connection reset), "
        "and nothing was found within 120 s: DEPLOY_TO_DEV of CORE_DV_HLS for build 5139 may run at the server. "
        "The next try of this task looks first, and deploys only if none is listed"
    )


@pytest.mark.parametrize("answer", [unreachable(), says_no(429), says_no(503, retry_after="5")])
def test_a_post_that_did_nothing_is_sent_again(world, answer):
    Deployments(world, faults=[(answer, False)])
    assert world.run(deploy(world.session, ORDER, [])).id == 71
    assert world.asked == [POSTED, POSTED]


def test_what_the_server_refuses_is_final(world):
    world.script(says_no(404, "A deployment with the name 'X' does not exist!"))
    with pytest.raises(NotFoundError, match="A deployment with the name 'X' does not exist!"):
        world.run(deploy(world.session, ORDER, []))


def test_without_knowing_what_was_listed_a_lost_answer_is_an_error_at_once(world):
    Deployments(world, faults=[(lost(), True)])
    with pytest.raises(DeploymentUncertainError, match="List the build's deployments before deploying again"):
        world.run(create(world.session, ORDER))
    assert (world.asked, world.pauses) == ([POSTED], [])


def test_without_knowing_what_was_listed_one_post_deploys(world):
    Deployments(world)
    assert world.run(create(world.session, ORDER)).id == 71


def test_what_the_server_only_takes_is_accepted_not_done(world):
    (made,) = records(71)
    assert check_outcome(world.session, made) is made
    assert world.logged() == [
        "Build deployment 71 is accepted. How it ends the API does not tell: see the build's page."
    ]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"status": "FINISHED"}, "Build deployment 71 is accepted; the server says: FINISHED."),
        (
            {"status": "RUNNING", "message": "on agent 3"},
            "Build deployment 71 is accepted; the server says: RUNNING: on agent 3.",
        ),
        ({"message": "queued"}, "Build deployment 71 is accepted; the server says: queued."),
    ],
)
def test_what_it_says_besides_is_passed_on(world, fields, line):
    check_outcome(world.session, BuildDeployment.from_json(deployment(71, **fields)))
    assert world.logged() == [line]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"status": "FAILED", "message": "ENOENT"},
            "build deployment 71 FAILED: ENOENT. Clear the task to deploy again",
        ),
        ({"status": "failed"}, "build deployment 71 failed. Clear the task to deploy again"),
    ],
)
def test_an_undocumented_status_failed_fails(world, fields, words):
    with pytest.raises(DeploymentFailedError, match=words):
        check_outcome(world.session, BuildDeployment.from_json(deployment(71, **fields)))


@pytest.mark.parametrize("status", [None, 3, {"code": "FAILED"}, ["FAILED"]])
def test_a_status_of_another_form_is_none(world, status):
    check_outcome(world.session, BuildDeployment.from_json(deployment(71, status=status)))
    assert "is accepted. How it ends the API does not tell" in world.logged()[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one of `pattern` or `pattern_id` is needed; none is given"),
        ({"pattern": "A", "pattern_id": 1, "deployment": "B"}, "given are `pattern` and `pattern_id`"),
        ({"pattern": "A"}, "exactly one of `deployment` or `deployment_id` is needed; none is given"),
        ({"pattern": "A", "deployment": "B", "deployment_id": 1}, "given are `deployment` and `deployment_id`"),
        (
            {"pattern": "A", "deployment": "B", "agent": "C", "agent_group_id": 1},
            "`agent` and `agent_group_id` exclude",
        ),
        ({"pattern": "A", "deployment": "B", "agent": "C", "agent_id": 1}, "`agent` and `agent_id` exclude"),
    ],
)
def test_an_order_that_the_api_rules_out_is_refused_before_anything_is_sent(arguments, words):
    order = DeploymentRequest(5139, **arguments)
    with pytest.raises(ConfigurationError, match=words):
        order.check()
    with pytest.raises(ConfigurationError, match=words):
        order.request()


@pytest.mark.parametrize(
    "executor", [{}, {"agent": "A"}, {"agent_id": 1}, {"agent_group": "G"}, {"agent_group_id": 2}], ids=str
)
def test_one_agent_one_group_or_none_are_fine(executor):
    order = DeploymentRequest(5139, pattern_id=808, deployment_id=12, **executor)
    order.check()
    assert order.request().body == {"build_id": 5139, "pattern_id": 808, "deployment_id": 12, **executor}
