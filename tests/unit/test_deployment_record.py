"""A retry never deploys twice, a cleared task deploys again: with a task state store and without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mkw_airflow_provider.exceptions import AlreadyDeployedError, DeploymentUncertainError, NotFoundError
from mkw_airflow_provider.operators.deployment_record import DeploymentRecord
from mkw_airflow_provider.version_compat import TaskStateStore
from tests.kit.deployments_server import DEPLOYMENT_REQUEST, DeployTask
from tests.kit.simulation import World, http_error, lost, ok
from tests.kit.tasks import StateStore

POSTED = "POST /build_deployments"
KILLED = (RuntimeError("killed"), True)


@pytest.fixture(params=[True, False], ids=["store", "no-store"])
def task(request, world):
    return DeployTask(world, request.param)


@pytest.fixture
def stored(world):
    return DeployTask(world, True)


@pytest.mark.parametrize("if_deployed", ["skip", "deploy", "fail"])
@pytest.mark.parametrize("executor", [{}, {"agent": "dev_agent"}, {"agent_group": "DEV_AGENTS"}], ids=str)
def test_retry_reuses_the_earlier_deployment(task, if_deployed, executor):
    task.if_deployed = if_deployed
    task.order = replace(DEPLOYMENT_REQUEST, **executor)
    first = task.run()
    task.retries = 1
    assert [task.run(), task.run()] == [first, first]
    assert task.server.ids == [first]


@pytest.mark.parametrize("fault", [KILLED, (lost(), True), (http_error(500), True)])
def test_retry_finds_one_that_appears_late(task, fault):
    task.world.session.settings = replace(task.world.settings, outage_tolerance=5.0)
    task.server.faults = [fault]
    task.server.listed_after = 30.0
    with pytest.raises(Exception, match=r"killed|nothing|may be running"):
        task.run()
    task.run()
    assert len(task.server.ids) == 1


def test_retry_deploys_if_nothing_was_made(task):
    task.server.faults = [(http_error(404), False)]
    with pytest.raises(NotFoundError):
        task.run()
    assert task.run() == 19


@pytest.mark.parametrize("if_deployed", ["skip", "deploy"])
def test_cleared_task_deploys_again(task, if_deployed):
    task.if_deployed = if_deployed
    first = task.run()
    task.clear()
    second = task.run()
    assert task.server.ids == [first, second]
    assert task.run() == second


def test_cleared_task_deploys_after_a_refusal(stored):
    first = stored.run()
    stored.clear()
    stored.server.faults = [(http_error(404), False)]
    with pytest.raises(NotFoundError):
        stored.run()
    assert stored.run() == first + 1


def test_cleared_task_deploys_after_a_lost_request(stored):
    first = stored.run()
    stored.clear()
    stored.world.session.settings = replace(stored.world.settings, outage_tolerance=5.0)
    stored.server.faults = [(lost(), False)]
    with pytest.raises(DeploymentUncertainError):
        stored.run()
    assert stored.run() > first


def test_cleared_after_a_skip_deploys(task):
    older = task.server.add()["id"]
    assert task.run() == older
    task.clear()
    assert task.run() == older + 1


def test_cleared_does_not_overrule_fail(task):
    task.if_deployed = "fail"
    first = task.run()
    task.clear()
    with pytest.raises(AlreadyDeployedError, match=f"deployment {first} .*Nothing was sent"):
        task.run()
    assert task.server.ids == [first]


@pytest.mark.parametrize("executor", [{"agent": "dev_agent"}, {"agent_group": "DEV_AGENTS"}, {"agent_id": 1}], ids=str)
def test_deployments_of_other_agents_do_not_count(task, executor):
    task.order = replace(DEPLOYMENT_REQUEST, **executor)
    task.server.add(agent_id=2)
    task.server.add(agent_group_id=2)
    mine = task.run()
    assert task.server.ids == [19, 20, mine]
    assert task.run() == mine


def test_same_deployment_for_an_agent_and_a_group(world):
    by_agent, by_group = DeployTask(world, True), DeployTask(world, True)
    by_agent.server = by_group.server
    by_agent.order = replace(DEPLOYMENT_REQUEST, agent="dev_agent")
    by_group.order = replace(DEPLOYMENT_REQUEST, agent_group="DEV_AGENTS")
    assert by_agent.run() != by_group.run()


def test_retry_finds_its_own_not_an_older_one(stored):
    older = stored.server.add()["id"]
    stored.if_deployed = "deploy"
    stored.server.faults = [KILLED]
    with pytest.raises(RuntimeError):
        stored.run()
    assert stored.run() == older + 1
    assert len(stored.server.ids) == 2


@pytest.mark.parametrize("has_store", [True, False])
def test_uncertain_deployment_is_not_repeated(has_store):
    """Agents cannot be told apart: the response was lost, and a retry finds a deployment that may be its own."""
    world = World(outage_tolerance=5.0)
    task = DeployTask(world, has_store)
    task.server.shows_agents = False
    task.order = replace(DEPLOYMENT_REQUEST, agent="dev_agent")
    task.server.faults = [(lost(), True)]
    with pytest.raises(DeploymentUncertainError):
        task.run()
    assert task.run() == 19
    assert "assuming that it is, rather than deploying twice" in task.world.logged("WARNING")[-1]
    assert task.server.ids == [19]


def test_record_of_another_request_is_not_ours(stored):
    first = stored.run()
    stored.order = replace(DEPLOYMENT_REQUEST, build_id=5140)
    stored.if_deployed = "deploy"
    assert stored.run() != first


def test_other_tasks_cleared_is_a_retry(stored):
    first = stored.run()
    record = DeploymentRecord.load(stored.store)
    replace(record, state="started").save(stored.store)
    stored.attempt = replace(stored.attempt, clear_number=7)
    assert stored.run() == first


def test_edited_retries_alone_do_not_clear(world):
    task = DeployTask(world, False)
    first = task.run()
    for task.retries in (0, 1, 2, 9):
        assert task.run() == first


def test_listed_id_beyond_64_bits_blocks_nothing(stored):
    stored.store = TaskStateStore(StateStore())
    stored.order = replace(DEPLOYMENT_REQUEST, agent_id=1)
    stored.server.deployments = [{"id": 2**70, "build_id": 5139, "since": 0.0, "agent_id": 2}]
    assert stored.run() == 20
    assert DeploymentRecord.load(stored.store).known == [2**70]


@pytest.mark.parametrize(
    ("agents", "counts"),
    [
        ([{"id": 2, "name": "dev_agent_2"}], False),
        ([{"id": 2, "name": "a"}, {"id": 3, "name": "b"}], False),
        ([], False),
        ([{"id": 2, "name": "DEV_AGENT"}], True),
        ([{"id": 2}], True),
        (None, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["agent", "agent_group"])
def test_unresolved_executor_name(task, agents, counts, kind):
    """None: the lookup is refused, so nothing tells whose deployment it is, and the listed one is reused."""
    task.order = replace(DEPLOYMENT_REQUEST, **{kind: "dev_agent"})
    server, path = task.server, f"/{kind}s"
    listed = http_error(403) if agents is None else ok(agents)
    task.world.server = lambda call: listed if call.path.endswith(path) else server(call)
    other = server.add(**{f"{kind}_id": 2})["id"]
    assert (task.run() == other) == counts


def test_retry_ignores_another_agents_deployment(task):
    """The only agent that a lookup finds has another name."""
    task.order = replace(DEPLOYMENT_REQUEST, agent="dev_agent")
    server, found = task.server, ok([{"id": 2, "name": "dev_agent_2"}])
    task.world.server = lambda call: found if call.path.endswith("/agents") else server(call)
    server.faults = [(RuntimeError("killed"), False)]
    with pytest.raises(RuntimeError):
        task.run()
    other = server.add(agent_id=2)["id"]
    assert task.run() == other + 1


def test_unlisted_agent_is_not_deployed_twice(task):
    """A user may not see the agent that executed the deployment of the earlier attempt."""
    task.order = replace(DEPLOYMENT_REQUEST, agent="dev_agent")
    server = task.server
    task.world.server = lambda call: ok([]) if call.path.endswith("/agents") else server(call)
    server.faults = [KILLED]
    with pytest.raises(RuntimeError):
        task.run()
    assert task.run() == 19
    assert server.ids == [19]
