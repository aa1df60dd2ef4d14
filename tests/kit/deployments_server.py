"""The deployments of a simulated server that may show or hide who executes them; and a task that deploys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mkw_airflow_provider.client.flows.deploy import DeploymentRequest
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.operators.attempt import Attempt
from mkw_airflow_provider.operators.deployment_record import deploy_once
from tests.kit.builds_server import Store
from tests.kit.simulation import World, ok

AGENTS = {"dev_agent": 1, "other_agent": 2}
GROUPS = {"DEV_AGENTS": 1, "OTHER_AGENTS": 2}
DEPLOYMENT_REQUEST = DeploymentRequest(5139, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV")


class DeploymentsServer:
    """Serves ``/build_deployments``, ``/agents`` and ``/agent_groups``.

    :param faults: for each POST: a response instead of its own, or None, and whether the work is done.
    """

    def __init__(self, world: World, faults: Any = ()) -> None:
        self.world = world
        self.faults = list(faults)
        self.deployments: list[dict[str, Any]] = []
        self.shows_agents = True
        self.listed_after = 0.0
        world.server = self

    def __call__(self, request: Request[Any]) -> Any:
        filters = dict(request.query)
        if request.path.endswith("/agents"):
            return ok([{"id": AGENTS[name], "name": name} for name in AGENTS if name == filters["name"]])
        if request.path.endswith("/agent_groups"):
            return ok([{"id": GROUPS[name], "name": name} for name in GROUPS if name == filters["name"]])
        if request.method == "GET":
            return ok([row for row in self.deployments if self.world.now - row["since"] >= self.listed_after])
        response, is_done = self.faults.pop(0) if self.faults else (None, True)
        if not is_done:
            return response
        body = request.body or {}
        agent, group = AGENTS.get(body.get("agent", "")), GROUPS.get(body.get("agent_group", ""))
        made = self.add(agent_id=body.get("agent_id", agent), agent_group_id=body.get("agent_group_id", group))
        return response or ok(made, 201)

    def add(self, **executor: Any) -> dict[str, Any]:
        """Add a deployment, as somebody else does."""
        shown = executor if self.shows_agents else {}
        row = {"id": 19 + len(self.deployments), "build_id": 5139, "since": self.world.now, **shown}
        self.deployments.append(row)
        return row

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in self.deployments]


class DeployTask:
    """A task that deploys, and its attempts, counted as Airflow counts them.

    :param has_store: whether Airflow has a task state store.
    """

    def __init__(self, world: World, has_store: bool) -> None:
        self.world = world
        self.server = DeploymentsServer(world)
        self.store: Any = Store() if has_store else None
        self.order = DEPLOYMENT_REQUEST
        self.if_deployed: Any = "skip"
        self.retries = 3
        self.attempt = Attempt("nightly", "run", "deploy", -1, 0, self.retries, 0)

    def run(self) -> int:
        """Run the next attempt; return the deployment's id."""
        self.attempt = replace(self.attempt, try_number=self.attempt.try_number + 1)
        self.world.sent.clear()
        self.world.lines.clear()
        options = {"if_deployed": self.if_deployed, "retries": self.retries}
        flow = deploy_once(self.world.session, self.order, self.attempt, self.store, **options)
        return self.world.run(flow).id

    def clear(self) -> None:
        """Clear the task."""
        number, clears = self.attempt.try_number, self.attempt.clear_number or 0
        self.attempt = replace(self.attempt, max_tries=number + self.retries, clear_number=clears + 1)
